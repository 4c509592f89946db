"""The simplest routers: always the same pair, and a random pair."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_atlas.errors import ConstraintError, PoolError, SettingError
from langchain_atlas.pool.pairs import as_pair, as_pairs
from langchain_atlas.routers.base import Router, last_answer, shared_pairs
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.pool.pool import Pair


class SinglePairRouter(Router):
    """Sends every query to one pair: the baseline that routing must beat.

    Args:
        pair: the pair, or its written form ``model@@tool``.

    Raises:
        PoolError: the written form is not that of a pair.
    """

    kind: ClassVar[str] = "single"
    is_deterministic = True

    def __init__(self, pair: Pair | str) -> None:
        self.pair = as_pair(pair)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Route to the pair, then answer; see `Router.decide`."""
        if trajectory.observations:
            return last_answer(trajectory, rule="routed-once", reason="This router asks one pair, once.")
        _allowed(query, self.pairs)
        return Decision(kind="route", pair=self.pair, rule="single-pair", reason=f"Everything goes to {self.pair}.")

    @property
    def takes_first_answer(self) -> bool:
        """Whether it answers with the first call that succeeds: yes."""
        return True

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The one pair."""
        return (self.pair,)

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return the router itself if its pair is in `pairs`.

        Raises:
            PoolError: it is not in `pairs`.
        """
        shared_pairs(self.pairs, pairs)
        return self

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(folder, Artifact(kind=self.kind, pairs=self.pairs, encoder=None, settings={}))

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        del encoder
        return cls(artifact.pairs[0])


class RandomRouter(Router):
    """Sends each query to a pair drawn uniformly; the same query always gets the same pair.

    Args:
        pairs: the pairs to draw from, or their written forms ``model@@tool``.
        seed: seed of the draw.

    Raises:
        PoolError: there is no pair, or a written form is not that of a pair.
        SettingError: `seed` is not a whole number.
    """

    kind: ClassVar[str] = "random"

    def __init__(self, pairs: Iterable[Pair | str], *, seed: int = 0) -> None:
        self._pairs = tuple(dict.fromkeys(as_pairs(pairs)))
        if not self._pairs:
            raise PoolError("A random router needs at least one pair to draw from; none was given.")
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise SettingError(f"seed is {seed!r}; it must be a whole number.")
        self.seed = seed

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Route to a pair drawn for the query, then answer; see `Router.decide`."""
        if trajectory.observations:
            return last_answer(trajectory, rule="routed-once", reason="This router asks one pair, once.")
        allowed = _allowed(query, self._pairs)
        digest = hashlib.blake2b(f"{self.seed}\n{query.text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        pair = allowed[int.from_bytes(digest, "big") % len(allowed)]
        reason, propensity = f"Drawn from {len(allowed)} pairs.", 1 / len(allowed)
        return Decision(kind="route", pair=pair, rule="random", reason=reason, propensity=propensity)

    @property
    def takes_first_answer(self) -> bool:
        """Whether it answers with the first call that succeeds: yes."""
        return True

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it draws from."""
        return self._pairs

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {"seed": self.seed}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        return type(self)(self._pairs, **{**self.settings, **settings})

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that draws only from these of its pairs.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        return type(self)(shared_pairs(self._pairs, pairs), seed=self.seed)

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        write_artifact(folder, Artifact(kind=self.kind, pairs=self._pairs, encoder=None, settings=dict(self.settings)))

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        del encoder
        return cls(artifact.pairs, **artifact.settings)


def _allowed(query: Query, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Return the pairs that the query allows.

    Raises:
        ConstraintError: it allows none, or it sets a limit that a router without cost estimates can't keep.
    """
    limits = query.constraints
    if limits.max_cost_usd is not None or limits.max_latency_s is not None:
        raise ConstraintError(
            "The query limits cost or latency, but this router knows neither of any pair. Drop the limit, or use a "
            "router that is fitted on outcomes."
        )
    allowed = tuple(pair for pair in pairs if limits.pairs is None or pair in limits.pairs)
    if not allowed:
        raise ConstraintError(f"The query allows none of the router's pairs: {', '.join(map(str, pairs[:4]))}.")
    return allowed
