"""The dual path: one call where that is expected to be enough, and the policy's further calls elsewhere."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from langchain_atlas.errors import ArtifactError, PoolError, SettingError
from langchain_atlas.routers.base import Router, reconfigured
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.kinds import class_of
from langchain_atlas.routers.operating import LOOKED_UP, TRADES, OperatingCurve
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.routers.policy.settings import SHARED, check_settings
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.routers.saved.fingerprints import united
from langchain_atlas.trajectory import START, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair

PATHS = ("calibrated", "cluster", "rl", "budget")
"""What `path` may be."""

DUAL_LEAST_GAIN = 0.02
"""Gain that another call must be expected to bring, as a fraction of a right answer. Chosen on three splits of BFCL; on
two others it cost 0.2 points, at 57% of the policy's calls, and on reasoning nothing, at 68%. See
``docs/rl-measured.md``."""

DEFAULT_ERROR = 0.003
"""Accuracy that the first path may cost, as measured on held-out queries."""

_CLUSTER, _RL = "cluster.", "rl."
_CALLS = 2
_QUANTILES = np.linspace(0.1, 1.0, 10)
_RESAMPLES = 10_000
_CONFIDENCE = 1 - 0.01 / len(_QUANTILES)
"""Ten distances are tried, and one may look good by luck: each must pass at 99.9%, so that all pass at 99%."""
_UNSEEN = (1.0, -1.0)
"""Changes in score that are added to the observed ones."""


@dataclass(frozen=True)
class Calibration:
    """The distance at which the paths switch, and its measured effect."""

    distance: float = 0.0
    """Queries nearer than this to the remembered ones take the cluster path; 0 sends all to the policy."""
    queries: int = 0
    """Number of held-out queries it was measured on."""
    gain: float = 0.0
    """Accuracy minus that of the policy alone, on those queries."""
    share: float = 0.0
    """Share of those queries that took the cluster path."""
    error: float = DEFAULT_ERROR
    """Accuracy that it was allowed to cost."""


class DualRouter(Router):
    """Makes one call where that is expected to be enough, and lets the policy go on round the loop elsewhere.

    Two things part the ways, query by query. Where held-out queries prove it, a query near the remembered ones takes
    the cluster path. On the policy's path, another call is made only if it is expected to bring `least_gain`.

    Args:
        cluster: the first path, which routes once.
        rl: the second path.
        calibration: the distance at which the paths switch; see `calibrate`.
        path: ``calibrated``; ``cluster`` or ``rl`` to always take one path, the policy then with its own `least_gain`;
            ``budget`` for the policy when a query's limits on cost and latency leave room for a second call, and the
            cluster path otherwise.
        least_gain: least gain that another call must be expected to bring, as a fraction of a right answer, 0 to 1.

    Raises:
        SettingError: a part is of the wrong kind, `path` is unknown, or `least_gain` is out of range.
        PoolError: the parts have no pair in common.
    """

    kind: ClassVar[str] = "dual"
    is_deterministic = True

    def __init__(
        self,
        cluster: ClusterRouter,
        rl: RLRouter,
        *,
        calibration: Calibration | None = None,
        path: str = "calibrated",
        least_gain: float = DUAL_LEAST_GAIN,
    ) -> None:
        if not isinstance(cluster, ClusterRouter) or not isinstance(rl, RLRouter):
            raise SettingError(
                f"A dual router joins a cluster router and one that 'train' made; got kinds {cluster.kind!r} and "
                f"{rl.kind!r}."
            )
        _check_path(path)
        check_settings({"least_gain": least_gain})
        common = [pair for pair in rl.pairs if pair in set(cluster.pairs)]
        if not common:
            raise PoolError("The two parts have no pair in common; fit and train them on the same pool.")
        self.cluster = cluster.restrict(common)
        self.rl = rl.restrict(common)
        self.calibration = calibration or Calibration()
        if rl.policy.config.cautious:
            # Held-out queries of few domains don't show how the first path does on others, so it is not taken.
            self.calibration = replace(self.calibration, distance=0.0, share=0.0, gain=0.0)
        self.path, self.least_gain = path, least_gain
        self.fitted_on = united(cluster.fitted_on, rl.fitted_on)

    def warm(self) -> None:
        """Load what the first decision and call would wait for, for both paths; see `Router.warm`."""
        self.cluster.warm()
        self.rl.warm()

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        near, distance = self._near([query])[0]
        return self._by(near, distance).explain(query, trajectory)

    def decide_batch(self, queries: Sequence[Query]) -> list[Decision]:
        """Decide the first step of many queries with one pass of the encoder."""
        if not queries:
            return []
        sides = self._near(queries)
        decisions: dict[int, Decision] = {}
        for side in (True, False):
            numbers = [number for number, (near, _) in enumerate(sides) if near is side]
            part: Router = self.cluster if side else self.second
            for number, decision in zip(numbers, part.decide_batch([queries[n] for n in numbers]), strict=True):
                decisions[number] = self._by(side, sides[number][1]).explained(decision)
        return [decisions[number] for number in range(len(queries))]

    def _near(self, queries: Sequence[Query]) -> list[tuple[bool, float]]:
        if self.path == "budget":
            return [(not self._affords_second(query), 0.0) for query in queries]
        if self.path != "calibrated":
            return [(self.path == "cluster", 0.0)] * len(queries)
        distances = self.distances(queries)
        return [(bool(distance < self.calibration.distance), float(distance)) for distance in distances]

    def distances(self, queries: Sequence[Query]) -> NDArray[np.float64]:
        """Return the distance of queries to the remembered ones, 1 for the usual distance, shape [n_queries]."""
        near: NDArray[np.float64] = (
            self.rl.featurizer.prior_of(queries, self.rl.encoder).of_query("near").astype(np.float64)
        )
        return near

    def _affords_second(self, query: Query) -> bool:
        """Whether the query's limits leave room for two calls of the cheapest and of the fastest allowed pairs."""
        wanted, record = query.constraints.pairs, self.rl.featurizer.record
        allowed = [number for number, pair in enumerate(self.rl.pairs) if wanted is None or pair in wanted]
        for limit, values in (
            (query.constraints.max_cost_usd, record.cost),
            (query.constraints.max_latency_s, record.latency),
        ):
            known = np.nan_to_num(values[allowed], nan=np.inf)  # an unknown value may be arbitrarily high
            least = np.sort(known)[:_CALLS].sum()
            if limit is not None and (len(allowed) < _CALLS or least > limit):
                return False
        return True

    def _by(self, near: bool, distance: float) -> _Side:
        if self.path == "budget":
            why = f"The query's limits leave {'no ' if near else ''}room for a second call."
        elif self.path != "calibrated":
            why = f"The {self.path} path is taken always."
        else:
            where = "nearer than" if near else "as far as or farther than"
            edge = self.calibration.distance
            why = f"At distance {distance:.2f} the query is {where} {edge:.2f}, where the paths part."
        return _Side(self.cluster if near else self.second, "cluster-path" if near else "rl-path", why)

    @property
    def second(self) -> RLRouter:
        """The second path as it decides here: the policy, with this router's `least_gain` if that is higher."""
        if self.path == "rl" or self.least_gain <= self.rl.least_gain:
            return self.rl
        return reconfigured(self.rl, {"least_gain": self.least_gain})

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self.rl.pairs

    @property
    def failures_are_turns(self) -> bool:
        """Whether a failed call uses up a turn: no, on either path."""
        return False

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change, for both paths; the values, and `max_turns`, are those of the second path."""
        return {"path": self.path, **self.rl.settings, "least_gain": self.least_gain}

    def configure(self, **settings: Any) -> Self:
        """Return a copy of this router with other settings; `target` and `budget` are looked up by each path."""
        if not LOOKED_UP & settings.keys():
            return super().configure(**settings)
        rest = {name: settings.pop(name) for name in settings.keys() - TRADES}
        router = super().configure(**rest) if rest else copy.copy(self)
        router.cluster, router.rl = router.cluster.configure(**settings), router.rl.configure(**settings)
        return router

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        router = copy.copy(self)
        if "path" in settings:
            _check_path(settings["path"])
            router.path = settings["path"]
        check_settings({"least_gain": settings.get("least_gain", self.least_gain)})
        router.least_gain = settings.get("least_gain", self.least_gain)
        shared = {name: settings[name] for name in ("cost_weight", *SHARED) if name in settings}
        router.cluster = self.cluster.configure(**shared)
        own = self.rl.settings.keys() - {"least_gain"}
        router.rl = self.rl.configure(**{name: settings[name] for name in own if name in settings})
        return router

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that chooses only from these of its pairs."""
        wanted = tuple(pairs)
        router = copy.copy(self)
        router.cluster, router.rl = self.cluster.restrict(wanted), self.rl.restrict(wanted)
        return router

    def add_pairs(self, probes: OutcomeTable) -> Self:
        """Return a router whose paths both know new pairs, from a few outcomes; the switch does not change.

        Raises:
            OutcomeError: the table has no score.
        """
        router = copy.copy(self)
        router.rl = self.rl.add_pairs(probes)
        router.cluster = self.cluster.add_pairs(probes)
        return router

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`."""
        cluster, rl = self.cluster.artifact(), self.rl.artifact()
        write_artifact(
            folder,
            Artifact(
                kind=self.kind,
                pairs=self.pairs,
                encoder=rl.encoder,
                settings={"path": self.path, "least_gain": self.least_gain},
                facts={
                    "calibration": vars(self.calibration),
                    "parts": {
                        name: {
                            "kind": part.kind,
                            "pairs": [str(pair) for pair in part.pairs],
                            "settings": part.settings,
                            "facts": part.facts,
                            "curve": None if part.curve is None else part.curve.to_json(),
                        }
                        for name, part in ((_CLUSTER, cluster), (_RL, rl))
                    },
                },
                arrays={
                    prefix + name: array
                    for prefix, part in ((_CLUSTER, cluster), (_RL, rl))
                    for name, array in part.arrays.items()
                },
                fitted_on=self.fitted_on,
            ),
        )

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        parts = {prefix: _part(artifact, prefix, encoder) for prefix in (_CLUSTER, _RL)}
        calibration = Calibration(**artifact.facts["calibration"])
        settings = {"least_gain": 0.0, **artifact.settings}  # a folder saved before this setting decides as it did
        return cls(parts[_CLUSTER], parts[_RL], calibration=calibration, **settings)


@dataclass(frozen=True)
class _Side:
    """The path taken, and the reason."""

    router: Router
    rule: str
    why: str

    def explain(self, query: Query, trajectory: Trajectory) -> Decision:
        return self.explained(self.router.decide(query, trajectory))

    def explained(self, decision: Decision) -> Decision:
        return decision.replace(rule=f"{self.rule}, {decision.rule}", reason=f"{decision.reason} {self.why}")


def calibrate(
    distances: NDArray[np.float64],
    cluster: tuple[NDArray[np.float64], NDArray[np.float64]],
    rl: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    error: float = DEFAULT_ERROR,
    seed: int = 0,
) -> Calibration:
    """Find the switch: the largest distance below which the first path loses at most `error` in accuracy.

    Neither a greater loss nor a cost above the policy's may be likely: the result is the largest of ten distances at
    which the bounds hold with 99.9% (bootstrap), and so with 99% for all of them. If none qualifies, all queries go to
    the policy. One query won and one lost are added to the observed ones: the paths mostly answer alike, and where
    hardly any query separates them, resampling alone would call a loss impossible that merely was not observed.

    Args:
        distances: of held-out queries, see `DualRouter.distances`, shape [n].
        cluster: score and dollars of each query on the first path, shape [n] each; unknown dollars are NaN, and count
            as the highest known of any query, as in routing.
        rl: score and dollars of each query on the second path, shape [n] each; NaN for unknown dollars.
        error: accuracy that may be lost.
        seed: seed of the resampling.

    Raises:
        SettingError: there is no held-out query, or `error` is negative.
    """
    if not len(distances) or error < 0:
        raise SettingError(
            f"Calibration needs held-out queries, and an error from 0; got {len(distances)} and {error!r}."
        )
    edges = np.quantile(distances, _QUANTILES) + 1e-9
    near = distances[:, None] < edges
    known = np.concatenate([cluster[1], rl[1]])
    highest = np.nanmax(known, initial=0.0)
    added = np.where(np.isnan(cluster[1]), highest, cluster[1]) - np.where(np.isnan(rl[1]), highest, rl[1])
    change = np.where(near, (cluster[0] - rl[0])[:, None], 0.0)
    unseen = np.repeat([[one] for one in _UNSEEN], len(edges), axis=1)
    lost = -_upper_bounds(np.concatenate([-change, unseen]), seed)
    dearer = _upper_bounds(np.where(near, added[:, None], 0.0), seed)
    held = np.flatnonzero((lost >= -error) & (dearer <= 0))
    if not len(held):
        return Calibration(queries=len(distances), error=error)
    largest = held[-1]
    return Calibration(
        distance=float(edges[largest]),
        queries=len(distances),
        gain=float(change[:, largest].mean()),
        share=float(near[:, largest].mean()),
        error=error,
    )


def _upper_bounds(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return a bound that the mean of each column is unlikely to exceed, by bootstrap over the rows."""
    generator = np.random.default_rng(seed)
    rows = (generator.integers(0, len(values), len(values)) for _ in range(_RESAMPLES))
    bounds: NDArray[np.float64] = np.quantile([values[drawn].mean(axis=0) for drawn in rows], _CONFIDENCE, axis=0)
    return bounds


def _part(artifact: Artifact, prefix: str, encoder: Encoder | None) -> Any:
    from langchain_atlas.pool.pool import Pair

    told = artifact.facts["parts"][prefix]
    part = Artifact(
        kind=told["kind"],
        pairs=tuple(Pair.parse(pair) for pair in told["pairs"]),
        encoder=artifact.encoder,
        settings=told["settings"],
        facts=told["facts"],
        arrays={name.removeprefix(prefix): array for name, array in artifact.arrays.items() if name.startswith(prefix)},
    )
    if part.kind == DualRouter.kind:
        raise ArtifactError("A dual router can't be a part of a dual router.")
    kind: Any = class_of(part.kind)
    router = kind.from_artifact(part, encoder)
    router.curve = None if told.get("curve") is None else OperatingCurve(**told["curve"])
    return router


def _check_path(path: Any) -> None:
    if path not in PATHS:
        raise SettingError(f"path is {path!r}; it must be one of {', '.join(PATHS)}.")
