"""The contract of every router."""

from __future__ import annotations

import asyncio
import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_atlas.errors import ArtifactError, AtlasError, ExecutionError, PoolError, SettingError, suggest
from langchain_atlas.failures.misspelled import refuse_unknown
from langchain_atlas.failures.slips import check_methods, deciding
from langchain_atlas.loop.handler import Handler
from langchain_atlas.loop.limits.trajectory_limits import TURN_LIMIT
from langchain_atlas.loop.turns import adrive, drive, turns
from langchain_atlas.messages.user_message import Ask, AtlasContext, configured, read_ask, with_settings
from langchain_atlas.pool.pairs import as_pairs
from langchain_atlas.trajectory import START, Assignment, Decision, Query, Trajectory, last_answer
from langchain_atlas.warming import begin_imports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve

Changed = TypeVar("Changed", bound="Router")


__all__ = ["MOST_THOUGHTS", "Router", "last_answer", "read_assignment", "shared_pairs", "some"]

MOST_THOUGHTS = 16
"""Maximum number of thoughts in a row when a router is a step of a chain."""


class Router(Runnable[Any, Assignment], ABC):
    """Decides what to do next for a query: route to a pair, think, or answer.

    One method is required: `decide`. It must not change the router, so that threads can share one.

    A router is a LangChain `Runnable`: it takes a text, a `Query`, or messages, and returns the query with
    the first decision that is not a thought, as an `Assignment`. ``router | executor`` is a chain that returns an
    `Observation`.
    """

    kind: ClassVar[str] = ""
    """The name by which saved routers of this class are identified; empty if the class can't be saved."""

    is_deterministic: bool = False
    """Whether it always decides the same for the same query and trajectory; its decisions then have propensity 1 in a
    store. The others' propensity is unknown there, unless they give it: `Decision.propensity`."""

    fitted_on: NDArray[np.uint64] | None = None
    """Fingerprints of the queries that it learned from, see `fingerprints.fingerprints`, ascending, shape [n_queries];
    None when unknown, or when it learned from no queries."""

    curve: OperatingCurve | None = None
    """The measured accuracy and cost of each of its settings; None if they were not measured."""

    held_out: HeldOutFigures | None = None
    """What it did on queries that it was not fitted on, measured when it was fitted; None if nothing was held out."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let `decide` accept a text as a query, and raise a clear error for any other type."""
        super().__init_subclass__(**kwargs)
        check_methods(cls, ("decide", "adecide"), deciding)

    def __repr__(self) -> str:
        """Show the router's kind, pairs and settings; nothing is loaded for that."""
        try:
            parts = [some(self.pairs, 3)] if self.pairs else []
            parts += [f"{name}={value!r}" for name, value in self.settings.items() if value is not None]
        except AttributeError:  # attributes that fitting sets are missing
            parts = ["not fitted"]
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def InputType(self) -> Any:  # noqa: N802  # LangChain's name
        """What it accepts as input in a chain; see `Ask`."""
        return Ask

    @abstractmethod
    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step.

        Args:
            query: the query, with its constraints.
            trajectory: the decisions and observations so far.

        Returns:
            The decision, with its reasons.

        Raises:
            ConstraintError: no pair satisfies the query's constraints.
        """

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does, in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.decide, query, trajectory)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **settings: Any) -> Assignment:  # noqa: A002
        """Decide for an input, as a step of a chain.

        Args:
            input: a text, a `Query`, a message, messages, or ``{"messages": ...}``.
            config: may set any of the fields of `AtlasContext` under ``configurable``.
            settings: any of the fields of `AtlasContext`; they override `config`.

        Raises:
            InvalidInputError: the input can't be read, or a setting is unknown or out of range.
            ConstraintError: no pair satisfies the query's constraints.
        """
        given = ensure_config(config)

        def assign(asked: Any) -> Assignment:
            query = read_assignment(asked, given, settings)
            return _assigned(query, drive(turns(query, act=None), self._handler()))

        return self._call_with_config(assign, input, config, run_type="chain")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **settings: Any) -> Assignment:  # noqa: A002
        """Do what `invoke` does on the event loop."""
        given = ensure_config(config)

        async def assign(asked: Any) -> Assignment:
            query = read_assignment(asked, given, settings)
            return _assigned(query, await adrive(turns(query, act=None), self._handler()))

        return await self._acall_with_config(assign, input, config, run_type="chain")

    def _handler(self) -> Handler:
        return Handler(self, max_turns=MOST_THOUGHTS)

    def warm(self) -> None:
        """Load what the first decision and the first call of a model would wait for: the encoder, and LiteLLM.

        Call it once, before a server takes requests; it takes seconds.
        """
        importing = begin_imports()
        encoder: Encoder | None = getattr(self, "encoder", None)
        if encoder is not None:
            encoder.encode(["Is the encoder loaded?"])
        importing.join()

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries; faster than one by one if the router vectorizes it."""
        return [self.decide(query) for query in queries]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from; empty when it accepts any."""
        return ()

    @property
    def takes_first_answer(self) -> bool:
        """Whether it answers with the first call that succeeds, without judging it; such an answer can be streamed."""
        return False

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn of the loop; False if the router never calls a failed pair again."""
        return True

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change, with the current values."""
        return {}

    def configure(self, **settings: Any) -> Self:
        """Return a copy of this router with other settings; nothing is fitted again.

        In addition to its settings, a router with measurements takes `target` (points below the best) and `budget`
        (dollars per 1000 queries), which are looked up in its `curve`; see `routers/operating.py`.

        Raises:
            SettingError: a setting does not exist, or its value is out of range.
        """
        from langchain_atlas.routers.operating import ALIASES, LOOKED_UP, as_asked, resolved

        changes = resolved(settings, self.settings, self.curve)
        for name in changes:
            if name not in self.settings:
                knobs = sorted(LOOKED_UP) if "value_usd" in self.settings else ()
                aliases = [alias for alias, setting in ALIASES.items() if setting in self.settings]
                valid = suggest(name, [*self.settings, *aliases, *knobs])
                raise SettingError(f"{type(self).__name__} has no setting {name!r}. {valid}")
        if not changes:
            return self
        try:
            return self._configured(changes)
        except SettingError as error:
            raise as_asked(error, settings) from None

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        raise NotImplementedError  # only reached if a router names settings and does not apply them

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that chooses only from these of its pairs.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        del pairs
        return self

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder: ``config.json`` and ``*.safetensors``, replaced as a whole.

        Raises:
            ArtifactError: this router can't be saved.
        """
        raise ArtifactError(f"{type(self).__name__} can't be saved: it holds nothing that was learned ({folder}).")

    @staticmethod
    def load(folder: str | Path, encoder: Encoder | None = None) -> Router:
        """Read a saved router of any kind.

        Args:
            folder: a folder that `save` wrote.
            encoder: the encoder that the router was fitted with; by default, it is found by its name.

        Raises:
            ArtifactError: the folder is not a saved router, is damaged, or was fitted with another encoder.
        """
        from langchain_atlas.routers.saved.artifact import load_router

        return load_router(folder, encoder)


def read_assignment(asked: Any, config: Mapping[str, Any], settings: Mapping[str, Any]) -> Query:
    """Return the query of a chain's input, with the settings of this run.

    Raises:
        InvalidInputError: the input can't be read, or a setting is unknown or out of range.
    """
    refuse_unknown(settings, AtlasContext.__dataclass_fields__, "A run")
    query = asked if isinstance(asked, Query) else read_ask(asked, {})
    return with_settings(query, {**configured(config), **settings})


def _assigned(query: Query, trajectory: Trajectory) -> Assignment:
    """Return the query with the decision for it.

    Raises:
        ExecutionError: there are only thoughts.
    """
    decision = trajectory.steps[-1].decision
    if decision.rule == TURN_LIMIT:
        raise ExecutionError(f"The router had {MOST_THOUGHTS} thoughts in a row and decided nothing.")
    return Assignment(query=query, decision=decision)


def decided(outcome: Decision | AtlasError) -> Decision:
    """Return a decision, or raise the error that stands in its place."""
    if isinstance(outcome, AtlasError):
        raise outcome
    return outcome


def reconfigured(router: Changed, settings: Mapping[str, Any]) -> Changed:
    """Return a copy of a router with other settings, which were checked one by one.

    Raises:
        SettingError: the pair that is to be called always is not one of its pairs.
    """
    changed = copy.copy(router)
    for name, value in settings.items():
        setattr(changed, name, value)
    always = changed.settings.get("always")
    if always is not None and str(always) not in map(str, changed.pairs):
        raise SettingError(f"always is {always!r}. {suggest(str(always), map(str, changed.pairs))}")
    return changed


def shared_pairs(known: Sequence[Pair], wanted: Iterable[Pair | str]) -> tuple[Pair, ...]:
    """Return the wanted pairs that a router has, in the router's order.

    Raises:
        PoolError: it has none of them.
    """
    names = set(as_pairs(wanted))
    kept = tuple(pair for pair in known if pair in names)
    if not kept:
        raise PoolError(
            f"The router and the pool share no pair: the router knows {some(known)}, the pool has {some(names)}."
        )
    return kept


def some(pairs: Iterable[Pair], limit: int = 4) -> str:
    """List a few pairs, and say how many more there are."""
    names = sorted(map(str, pairs))
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
