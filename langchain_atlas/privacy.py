"""Who may see a private query: one rule for everybody who would show it to a model or a service.

The loop writes into the query who may see it (`Query.seen_by`, from `Limits`). Pairs are restricted before a decision.
Whatever else shows queries to somebody asks here first: the model of a router, an encoder that calls a service, a
verifier that asks a model. What stays in this process needs no permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import LimitError
from langchain_atlas.pool.embedded import is_embedded
from langchain_atlas.pool.pool import Model

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from langchain_atlas.trajectory import Query

    class _EncoderLike(Protocol):
        name: str
        calls_out: bool


def check_may_see(query: Query, viewer: str, what: str) -> None:
    """Make sure that a query may be shown to a model or a service.

    Args:
        query: the query.
        viewer: name of the model or the service.
        what: what it is, such as ``the router's model``.

    Raises:
        LimitError: the query is private, and the viewer is not among those that may see it.
    """
    if not query.private or viewer in query.seen_by:
        return
    raise LimitError(
        f"The query is private, and {what} {viewer!r} is not among those that may see it. Name it: "
        f"Limits(private_services=[{viewer!r}]); or use one that stays in this process."
    )


def check_model(query: Query, model: Any, what: str) -> None:
    """Make sure that a query may be shown to a model; an embedded one runs in this process and may see any.

    Args:
        query: the query.
        model: a pool's `Model`, or a LangChain chat model, whose name is the one that its provider knows it by.
        what: what it is, such as ``the judge``.

    Raises:
        LimitError: as for `check_may_see`.
    """
    if isinstance(model, Model):
        name, where = model.name, model.litellm
    else:
        known = (getattr(model, key, None) for key in ("model_name", "model"))
        name = where = next((one for one in known if isinstance(one, str) and one), type(model).__name__)
    if not is_embedded(where):
        check_may_see(query, name, what)


def check_encoder(encoder: _EncoderLike, queries: Iterable[Query]) -> None:
    """Make sure that queries may be shown to an encoder; one that runs in this process may see any.

    Raises:
        LimitError: as for `check_may_see`.
    """
    if encoder.calls_out:
        for query in queries:
            check_may_see(query, encoder.name, "the encoder")
