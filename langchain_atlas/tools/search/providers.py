"""Search providers by name, as a pool file gives them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ImportString, TypeAdapter, ValidationError

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.search.folder import FolderSearch
from langchain_atlas.tools.search.retrievers import RetrieverSearch
from langchain_atlas.tools.search.tavily import TavilySearchProvider
from langchain_atlas.tools.search.tool import SearchTool
from langchain_atlas.tools.search.web import BraveSearch, GoogleSearch, SearxngSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.tools.search.snippets import SearchProvider

WEB_PROVIDERS: Mapping[str, Callable[..., SearchProvider]] = {
    "brave": BraveSearch,
    "google": GoogleSearch,
    "searxng": SearxngSearch,
    "tavily": TavilySearchProvider,
}
"""The providers that are known by name."""

_KINDS = ("provider", "folder", "retriever")


def build_search(
    provider: str | Sequence[str | Mapping[str, Any]] | None = None,
    *,
    folder: str | None = None,
    retriever: str | None = None,
    encoder: str | None = None,
    k: int = 3,
    timeout_s: float | None = None,
    base_url: str | None = None,
    key_env: str | None = None,
    engine_id: str | None = None,
    allowed_hosts: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> SearchTool:
    """Build a search tool of plain values.

    Args:
        provider: ``brave``, ``google``, ``searxng`` or ``tavily``; or a list of providers to try in order, each a name
            or a mapping with any of the other arguments.
        folder: searches the documents of a folder instead.
        retriever: asks a LangChain retriever instead, named as ``package.module:attribute``.
        encoder: with `folder`: the encoder that finds passages by meaning as well, such as ``all-MiniLM-L6-v2``.
        k: how many snippets an answer has at most.
        timeout_s: seconds that each provider may take; 10 for those of the web and 30 for others when left out.
        base_url: where a web provider is, when not at its usual place.
        key_env: environment variable that holds its key, when not the usual one.
        engine_id: with ``google``: the search engine's id.
        allowed_hosts: hosts that may be private; others must be public.
        options: with ``tavily``: more settings of `langchain_tavily.TavilySearch`.

    Raises:
        PoolError: not exactly one of provider, folder and retriever is given, or something does not fit it.
        SettingError: a value is out of range, or a key is not set.
        MissingExtraError: a provider's package is not installed.
    """
    given: dict[str, Any] = {
        "provider": provider,
        "folder": folder,
        "retriever": retriever,
        "encoder": encoder,
        "base_url": base_url,
        "key_env": key_env,
        "engine_id": engine_id,
        "allowed_hosts": allowed_hosts,
        "options": options,
    }
    given = {name: value for name, value in given.items() if value is not None}
    limit = {} if timeout_s is None else {"timeout_s": timeout_s}
    if provider is None or isinstance(provider, str):
        return SearchTool.over(_provider(given, limit), k=k, **limit)
    if not isinstance(provider, Sequence) or not all(isinstance(entry, str | Mapping) for entry in provider):
        raise PoolError(f"'provider' of search is {provider!r}; give a name, or a list of names and mappings.")
    if len(given) > 1:
        others = ", ".join(repr(name) for name in given if name != "provider")
        raise PoolError(f"With a list of search providers, {others} must stand in the entries of the list.")
    entries = [{"provider": entry} if isinstance(entry, str) else dict(entry) for entry in provider]
    return SearchTool.over(*(_provider(entry, limit) for entry in entries), k=k, **limit)


def _provider(given: Mapping[str, Any], limit: Mapping[str, float]) -> SearchProvider:
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        named = " and ".join(map(repr, kinds)) or "none"
        raise PoolError(
            f"Search needs one of 'provider', 'folder' and 'retriever'; got {named}. To try several in order, list "
            "them under 'provider'."
        )
    kind, settings = kinds[0], {name: value for name, value in given.items() if name != kinds[0]}
    if kind == "folder":
        encoder = settings.pop("encoder", None)
        return _built(FolderSearch, "folder", settings, given["folder"], encoder=_encoder(encoder))
    if kind == "retriever":
        return _built(RetrieverSearch, "retriever", settings, _found(given["retriever"]))
    name = given["provider"]
    if name not in WEB_PROVIDERS:
        raise PoolError(f"There is no search provider {name!r}. {suggest(str(name), WEB_PROVIDERS)}")
    options = settings.pop("options", {}) if name == "tavily" else {}
    if not isinstance(options, Mapping):
        raise PoolError(f"'options' of search with 'tavily' is {options!r}; give names with values.")
    return _built(WEB_PROVIDERS[name], name, {**limit, **settings, **options})


def _built(
    builder: Callable[..., SearchProvider], name: str, settings: dict[str, Any], *values: Any, **more: Any
) -> SearchProvider:
    takes = _takes(builder)
    for setting in settings:
        if takes is not None and setting not in takes:
            raise PoolError(
                f"Search with {name!r} does not take {setting!r}. It takes: {', '.join(takes) or 'no more'}."
            )
    return builder(*values, **more, **settings)


def _takes(builder: Callable[..., Any]) -> list[str] | None:
    """Return the names of the settings of a provider; None when it takes any."""
    if builder is TavilySearchProvider:
        return None
    if builder in (FolderSearch, RetrieverSearch):
        return ["encoder"] if builder is FolderSearch else []
    common = [name for name in inspect.signature(BraveSearch).parameters if name != "self"]
    return [*common, "engine_id"] if builder is GoogleSearch else common


def _encoder(name: str | None) -> Any:
    if name is None:
        return None
    from langchain_atlas.encoders.named import encoder_named

    return encoder_named(name)


def _found(reference: str) -> Any:
    """Return what ``package.module:attribute`` names; a function is called for the retriever it makes."""
    from langchain_core.runnables import Runnable

    try:
        found: Any = TypeAdapter(ImportString).validate_python(reference)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise PoolError(
            f"Can't find the retriever {reference!r}: {message}. Write 'package.module:attribute'."
        ) from error
    return found() if callable(found) and not isinstance(found, Runnable) else found
