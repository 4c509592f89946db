"""Routers and baselines compared, with every figure and interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.evaluation.logged.words import (
    alone_notes,
    as_estimate,
    estimate_facts,
    estimate_notes,
    policy_facts,
)
from langchain_atlas.evaluation.replay import reference_policies
from langchain_atlas.evaluation.replay.bootstrap import Difference, bootstrap_means, intervals, paired_difference
from langchain_atlas.evaluation.replay.frontier import average_quality
from langchain_atlas.evaluation.replay.overlap import warnings
from langchain_atlas.evaluation.replay.results import MixComparison, PairResult, Result, pair_results, result_of
from langchain_atlas.evaluation.replay.unseen import as_unseen, unseen_note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from langchain_atlas.evaluation.logged.outcomes import LoggedOutcomes
    from langchain_atlas.evaluation.replay.frontier import Mix
    from langchain_atlas.evaluation.replay.runs import Runs
    from langchain_atlas.outcomes import OutcomeMatrix
    from langchain_atlas.routers.held_out import HeldOutFigures


@dataclass(frozen=True)
class Evaluation:
    """The results of routers and baselines on one table."""

    runs: dict[str, Runs]
    """Each router's results, query by query."""
    baseline_runs: dict[str, Runs]
    """Each baseline's results, query by query; see `baselines`."""
    recorded: OutcomeMatrix
    """The outcomes; completed, where results are estimated."""
    n_bootstrap: int
    """Number of resamples behind every interval."""
    seed: int
    """Seed of the resamples."""
    robustness: dict[str, float]
    """Share of edited queries for which a router's first choice did not change; empty if not requested."""
    learned_from: dict[str, int | None] = field(default_factory=dict)
    """Number of the table's queries that each router was fitted on; None when the router does not know."""
    logged: LoggedOutcomes | None = None
    """The log of one pair a query from which results are estimated; None where they are replayed."""
    unseen: dict[str, HeldOutFigures] = field(default_factory=dict)
    """Figures of queries kept aside, for each router that was fitted on this very table: they take the place of a
    replay's; see `unseen.unseen_figures`."""

    @property
    def n_queries(self) -> int:
        """Number of queries of the table."""
        return len(self.recorded.domains)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of the table."""
        return len(self.recorded.pairs)

    @cached_property
    def singles(self) -> reference_policies.SinglePairs:
        """Every pair, answering every query."""
        return reference_policies.SinglePairs.of(self.recorded)

    @cached_property
    def routers(self) -> dict[str, Result]:
        """The routers' figures, by name."""
        return {name: self._result(("router", name), runs) for name, runs in self.runs.items()}

    @cached_property
    def baselines(self) -> dict[str, Result]:
        """The baselines' figures, by name.

        ``best_single``, ``random`` and ``oracle``; ``oracle_repeated`` if pairs ran repeatedly, see
        `repeats.lasting_oracle`; ``cheapest`` if costs are known; ``best_single_filled`` if an
        incomplete pair, with the best single pair filling its gaps, is better than the best single pair.
        """
        return {name: self._result(("baseline", name), runs) for name, runs in self.baseline_runs.items()}

    @cached_property
    def pairs(self) -> dict[str, PairResult]:
        """Every pair's figures when it answers every query, by its written form."""
        names = [str(pair) for pair in self.recorded.pairs]
        return pair_results(names, self.singles, [self._intervals.get(("pair", name)) for name in names])

    def compare(self, first: str, second: str) -> Difference:
        """Return how much better `first` is than `second`, with a paired interval; both are routers or baselines.

        Raises:
            SettingError: a router or baseline does not exist.
        """
        scores = [self._named(name).score for name in (first, second)]
        return paired_difference(*scores, n_bootstrap=self.n_bootstrap, seed=self.seed)

    def aiq(self, names: Iterable[str], *, low: float | None = None, high: float | None = None) -> float | None:
        """Return the AIQ of a family of routers, such as one router at several settings.

        Args:
            names: the routers or baselines of the family.
            low: dollars per 1000 queries where the range begins; by default, those of the table's cheapest pair.
            high: where it ends; by default, those of the most expensive pair.

        Returns:
            Mean accuracy over the range, 0 to 1; None if no cost is known.

        Raises:
            SettingError: a router or baseline does not exist, or the range is inverted.
        """
        family = [self._named(name) for name in names]
        costs = np.array([_mean(runs.cost) for runs in family])
        if not self.singles.priced.any() or np.isnan(costs).all():
            return None
        return average_quality(
            1000 * costs,
            [_mean(runs.score) for runs in family],
            low=1000 * float(np.nanmin(self.singles.priced_cost)) if low is None else low,
            high=1000 * float(np.nanmax(self.singles.priced_cost)) if high is None else high,
        )

    @cached_property
    def aiq_by_family(self) -> dict[str, float | None]:
        """AIQ of each family of routers and of all single pairs, over the range of the table's pairs.

        A family is the part of a router's name before the ``?``: ``DIR?alpha=0.2`` and ``DIR?alpha=0.5`` are one
        family.
        """
        families: dict[str, list[str]] = {}
        for name in self.runs:
            families.setdefault(name.partition("?")[0], []).append(name)
        values = {family: self.aiq(names) for family, names in families.items()}
        if self.singles.priced.any():
            values["single_pairs"] = average_quality(1000 * self.singles.priced_cost, self.singles.accuracy)
        return values

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know to interpret the figures, one sentence each."""
        notes = alone_notes(self.recorded) if self.logged is None else estimate_notes(self.logged)
        flattered = {name: count for name, count in self.learned_from.items() if name not in self.unseen}
        notes += warnings(flattered.items(), self.n_queries)
        notes += [unseen_note(name, held, _mean(self.runs[name].score)) for name, held in self.unseen.items()]
        for name, result in self.routers.items():
            missing = self.n_queries - result.n_measured
            if missing:
                notes.append(
                    f"{name}: left out {missing} of {self.n_queries} queries; none of its pairs is recorded there."
                )
            if result.refused:
                notes.append(f"{name}: refused {result.refused} queries (ConstraintError); they score 0.")
            if 0 < result.cost_known < 1 and result.cost_usd_per_1k_least is not None:
                without = self._unpriced(self.runs[name])
                notes.append(
                    f"{name}: the cost of {1 - result.cost_known:.0%} of its queries is unknown ({without}); it spends "
                    f"at least ${result.cost_usd_per_1k_least:.3g} for 1000 queries, and that is not compared."
                )
            if result.collapsed:
                notes.append(f"{name}: one pair gave {max(result.pair_share.values()):.0%} of the answers.")
        few = int((~self.singles.comparable).sum())
        if few and self.logged is None:
            notes.append(
                f"{few} of {self.n_pairs} pairs are recorded on too few queries to be compared as single pairs "
                f"(below {reference_policies.COVERAGE:.0%} of the highest coverage)."
            )
        if "best_single_filled" in self.baselines:
            first, stand_in = list(self.baselines["best_single_filled"].pair_share)[:2]
            notes.append(
                f"The bar to beat is best_single_filled: one of these pairs, with the best single pair where it is "
                f"not recorded, does better than the best single pair alone ({first}, {stand_in})."
            )
        if "oracle_repeated" in self.baselines:
            count = self.baselines["oracle_repeated"].n_measured
            notes.append(
                f"oracle_repeated is the oracle that is not luck: on the {count} queries that pairs ran on repeatedly, "
                "it picks the pair by half of the runs and is judged by the other half."
            )
        if not self.singles.priced.any():
            notes.append("No pair has known costs, so there is no cheapest pair, no frontier and no AIQ.")
        return tuple(notes)

    def _unpriced(self, runs: Runs) -> str:
        """Name the pairs that answered at an unknown cost, the most frequent first."""
        there = runs.answered[runs.measured & np.isnan(runs.cost)]
        found = Counter(str(self.recorded.pairs[column]) for column in there if column >= 0)
        names = [name for name, _ in found.most_common(2)]
        return ", ".join(names) + (f" and {len(found) - 2} more" if len(found) > len(names) else "")

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain JSON values; estimated ones say so, see `logged.words.estimate_facts`."""
        return {
            **({} if self.logged is None else estimate_facts(self.logged, self.runs)),
            "routers": {
                name: {**result.to_json(), **self._estimated(self.runs[name]), **self._unseen(name)}
                for name, result in self.routers.items()
            },
            "baselines": {
                name: {**result.to_json(), **self._estimated(self.baseline_runs[name])}
                for name, result in self.baselines.items()
            },
            "pairs": {name: result.to_json() for name, result in self.pairs.items()},
            "aiq": self.aiq_by_family,
            "n_queries": self.n_queries,
            "n_pairs": self.n_pairs,
            "n_bootstrap": self.n_bootstrap,
            "seed": self.seed,
            "notes": list(self.notes),
        }

    def _estimated(self, runs: Runs) -> dict[str, Any]:
        return {} if self.logged is None or runs.drawn else policy_facts(self.logged, runs)

    def _unseen(self, name: str) -> dict[str, Any]:
        if name not in self.unseen:
            return {}
        return {"held_out": self.unseen[name].to_json(), "fitted": {"accuracy": _mean(self.runs[name].score)}}

    def _named(self, name: str) -> Runs:
        every = {**self.baseline_runs, **self.runs}
        if name not in every:
            raise SettingError(f"There is no router or baseline {name!r}. {suggest(name, every)}")
        return every[name]

    def _result(self, key: tuple[str, str], runs: Runs) -> Result:
        best = self.baseline_runs["oracle"].score
        plain = result_of(runs, self.recorded, best, self._intervals[key])
        if self.logged is not None:
            plain = as_estimate(plain)
        kind, name = key
        found = plain.replace(
            robustness=self.robustness.get(name) if kind == "router" else None,
            n_fitted_on=self.learned_from.get(name) if kind == "router" else None,
            versus_best_single=None if key == ("baseline", "best_single") else self._versus("single", key),
            versus_mix=self._versus_mix(key, runs) if kind == "router" else None,
        )
        return as_unseen(found, self.unseen[name]) if kind == "router" and name in self.unseen else found

    def _versus(self, what: str, key: tuple[str, str]) -> Difference | None:
        apart = self._columns[what, *key]
        if np.isnan(apart).all():
            return None
        return Difference(
            difference=_mean(apart),
            ci95=self._intervals[what, *key],
            n_queries=int((~np.isnan(apart)).sum()),
        )

    def _versus_mix(self, key: tuple[str, str], runs: Runs) -> MixComparison | None:
        mix = self._mix(runs)
        versus = None if mix is None else self._versus("mix", key)
        if mix is None or versus is None:
            return None
        parts = (
            [(mix.dear, 1.0)]
            if mix.cheap == mix.dear
            else [(mix.cheap, 1 - mix.dear_share), (mix.dear, mix.dear_share)]
        )
        return MixComparison(
            pairs=tuple(str(self.recorded.pairs[column]) for column, _ in parts),
            shares=tuple(share for _, share in parts),
            accuracy=sum(share * float(self.singles.accuracy[column]) for column, share in parts),
            cost_usd_per_1k=1000 * sum(share * float(self.singles.cost[column]) for column, share in parts),
            versus=versus,
        )

    def _mix(self, runs: Runs) -> Mix | None:
        known = ~np.isnan(runs.cost[runs.measured])
        if known.mean() < reference_policies.COVERAGE or not self.singles.priced.any():
            return None  # the known part of the cost would be taken for all of it
        return self.singles.mix(_mean(runs.cost))

    @cached_property
    def _columns(self) -> dict[tuple[str, ...], NDArray[np.float64]]:
        """Everything that gets an interval: one number per query, NaN where not measured."""
        columns: dict[tuple[str, ...], NDArray[np.float64]] = {}
        single = self.baseline_runs["best_single"].score
        for kind, group in (("router", self.runs), ("baseline", self.baseline_runs)):
            for name, runs in group.items():
                columns[kind, name] = runs.score
                columns["single", kind, name] = runs.score - single
                mix = self._mix(runs) if kind == "router" else None
                if mix is not None:
                    columns["mix", kind, name] = runs.score - reference_policies.mixed_scores(self.recorded, mix)
        for column, pair in enumerate(self.recorded.pairs):
            columns["pair", str(pair)] = self.recorded.scores[:, column]
        return columns

    @cached_property
    def _intervals(self) -> dict[tuple[str, ...], tuple[float, float]]:
        """Intervals of all columns from one set of resamples, so that everything is compared on the same draws."""
        measured = {key: column for key, column in self._columns.items() if not np.isnan(column).all()}
        stacked = np.stack(list(measured.values()), axis=1)
        means = bootstrap_means(stacked, n_bootstrap=self.n_bootstrap, seed=self.seed)
        return dict(zip(measured, intervals(means), strict=True))


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")
