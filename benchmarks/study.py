"""The two settings of every benchmark: in distribution (random splits) and out of distribution (other domains)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from common import Clock, split, tell
from selection import ALPHAS, Bar, Curve, cross_validated, curve

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.bootstrap import bootstrap_means, intervals
from langchain_atlas.evaluation.replay.frontier import average_quality
from langchain_atlas.routers.baselines import SinglePairRouter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from common import Make
    from numpy.typing import NDArray
    from selection import Rule

    from langchain_atlas.evaluation.replay.comparison import Evaluation
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

HINDSIGHT = "best single pair, in hindsight"
FILLED = "the same, filled in where not recorded"
TRAINED = "best single pair of the training part"


@dataclass
class Sheet:
    """What was measured, router by router and seed by seed."""

    scores: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each row, a seed at a time: score by query."""
    apart: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    """Likewise, less the score of the best single pair of that test part."""
    costs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each row, a seed at a time: dollars for 1000 queries."""
    alphas: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Settings chosen, a seed at a time."""
    aiq: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """AIQ of each family, a seed at a time."""
    curves: dict[str, list[dict[str, list[float]]]] = field(default_factory=lambda: defaultdict(list))
    """Of each family, a seed at a time: accuracy and cost on the test part at each alpha."""
    best: list[str] = field(default_factory=list)
    """Best single pair in hindsight, a seed at a time."""
    notes: list[str] = field(default_factory=list)
    """What `evaluate` had to say."""

    def add(self, evaluation: Evaluation, names: Sequence[str]) -> None:
        """Take down one evaluation; `names` are those of the table's queries."""
        bar = evaluation.baseline_runs["best_single"]
        filled = evaluation.baseline_runs.get("best_single_filled")
        rows = {HINDSIGHT: bar, **({} if filled is None else {FILLED: filled}), **evaluation.runs}
        rows["oracle"] = evaluation.baseline_runs["oracle"]
        for row, runs in rows.items():
            self.scores[row].append(_by_query(names, runs.score))
            self.apart[row].append(_by_query(names, runs.score - bar.score))
            self.costs[row].append(1000 * float(np.nanmean(runs.cost)) if (~np.isnan(runs.cost)).any() else np.nan)
        self.best.append(str(evaluation.recorded.pairs[evaluation.singles.best]))
        self.notes += [note for note in evaluation.notes if note not in self.notes]

    def add_curves(self, evaluation: Evaluation, curves: Mapping[str, Curve]) -> None:
        """Take down the AIQ of each family, and of all single pairs.

        One range for all: from the cheapest pair to the best single pair, beyond which nobody needs to pay.
        """
        singles = evaluation.singles
        if not singles.priced.any():
            return
        low, high = 1000 * float(np.nanmin(singles.priced_cost)), 1000 * float(singles.cost[singles.best])
        for family, at in curves.items():
            self.aiq[family].append(average_quality(at.cost, at.accuracy, low=low, high=high))
            self.curves[family].append({"accuracy": at.accuracy.tolist(), "cost_usd_per_1k": at.cost.tolist()})
        self.aiq["single pairs"].append(
            average_quality(1000 * singles.priced_cost, singles.accuracy, low=low, high=high)
        )

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return every row's figures: means over the seeds, with an interval over all the queries tested."""
        return {row: self._figures(row) for row in self.scores}

    def _figures(self, row: str) -> dict[str, Any]:
        per_seed = [_mean(list(part.values())) for part in self.scores[row]]
        cost, bar = _mean(self.costs[row]), _mean(self.costs[HINDSIGHT])
        known = not np.isnan(cost)
        return {
            "accuracy": _mean(per_seed),
            "accuracy_ci95": _interval(self.scores[row]),
            "accuracy_per_seed": per_seed,
            "versus_best_single": _mean([_mean(list(part.values())) for part in self.apart[row]]),
            "versus_best_single_ci95": _interval(self.apart[row]),
            "cost_usd_per_1k": cost if known else None,
            "cost_usd_per_1k_per_seed": self.costs[row] if known else None,
            "share_of_best_single_cost": cost / bar if known and bar > 0 else None,
            "alpha_per_seed": self.alphas.get(row),
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "rows": self.figures(),
            "aiq": {family: {"mean": _mean(values), "per_seed": values} for family, values in self.aiq.items()},
            "curves": {"alpha": ALPHAS, **self.curves},
            "best_single_pair_per_seed": self.best,
            "notes": self.notes,
        }


@dataclass
class Study:
    """Which routers are compared, and how."""

    families: Mapping[str, Make]
    """The routers, by name, each at settings that `rules` choose."""
    rules: Mapping[str, Rule]
    """Ways to choose a setting, by name."""
    seeds: Sequence[int]
    """Seeds of the splits, the cross-validation and the routers."""
    clock: Clock
    """Takes down how long each family took."""
    constants: Mapping[str, str] = field(default_factory=dict)
    """Pairs to ask everything, by the name of their row."""

    def in_distribution(self, table: OutcomeTable) -> Sheet:
        """Fit on a random 70% of the queries and test on the rest, once for each seed."""
        sheet = Sheet()
        for seed in self.seeds:
            training, test = split(table, seed)
            self._one_split(sheet, training, test, seed)
        return sheet

    def out_of_distribution(self, table: OutcomeTable, parts: Mapping[str, Sequence[str]]) -> dict[str, Sheet]:
        """Fit on some domains and test on all others, once for each seed and each part."""
        sheets = {}
        for name, domains in parts.items():
            others = [domain for domain in dict.fromkeys(table.domains) if domain not in domains]
            sheets[name] = Sheet()
            training, test = table.select(domains=domains), table.select(domains=others)
            for seed in self.seeds:
                tell(f"out of distribution, {name}")
                self._one_split(sheets[name], training, test, seed)
        return sheets

    def _one_split(self, sheet: Sheet, training: OutcomeTable, test: OutcomeTable, seed: int) -> None:
        """Choose each router's settings inside the training part, fit it on all of that, look at the test part."""
        bar = Bar.of(training)
        routers: dict[str, Router] = {TRAINED: SinglePairRouter(bar.pair)}
        routers |= {name: SinglePairRouter(pair) for name, pair in self.constants.items()}
        curves = {}
        for family, make in self.families.items():
            with self.clock.part(family):
                measured = cross_validated(make, training, seed)
                fitted = make(seed).fit(training)
                curves[family] = curve(fitted, test)
            for name, rule in self.rules.items():
                alpha = rule(measured, bar)
                routers[f"{family}, {name}"] = fitted.configure(alpha=alpha)
                sheet.alphas[f"{family}, {name}"].append(alpha)
            tell(f"  seed {seed}, {family}: {len(training.query_ids)} queries to fit, {len(test.query_ids)} to test")
        with self.clock.part("replay"):
            evaluation = evaluate(routers, test)
        sheet.add(evaluation, test.query_ids)
        sheet.add_curves(evaluation, curves)
        self._compare(sheet, curves)

    def _compare(self, sheet: Sheet, curves: Mapping[str, Curve]) -> None:
        """Make sure that the short way, by which settings are chosen, measures what the loop does."""
        for family, at in curves.items():
            for name in self.rules:
                row = f"{family}, {name}"
                short = at.accuracy[ALPHAS.index(sheet.alphas[row][-1])]
                looped = _mean(list(sheet.scores[row][-1].values()))
                if not np.isclose(short, looped):
                    raise RuntimeError(f"{row}: {short!r} by the short way, but {looped!r} in the loop.")


def drops(inside: Sheet, outside: Mapping[str, Sheet]) -> dict[str, dict[str, Any]]:
    """Set every row's accuracy in distribution beside that out of distribution."""
    here = inside.figures()
    there = {name: sheet.figures() for name, sheet in outside.items()}
    table: dict[str, dict[str, Any]] = {}
    for row, figures in here.items():
        if any(row not in rows for rows in there.values()):
            continue  # what fills in for an incomplete pair is measured only where there is one
        accuracy = {name: there[name][row]["accuracy"] for name in there}
        versus = {name: there[name][row]["versus_best_single"] for name in there}
        table[row] = {
            "in_distribution": figures["accuracy"],
            "out_of_distribution": accuracy,
            "out_of_distribution_mean": _mean(list(accuracy.values())),
            "drop": figures["accuracy"] - _mean(list(accuracy.values())),
            "versus_best_single_in_distribution": figures["versus_best_single"],
            "versus_best_single_out_of_distribution": versus,
            "drop_versus_best_single": figures["versus_best_single"] - _mean(list(versus.values())),
            "share_of_best_single_cost": {name: there[name][row]["share_of_best_single_cost"] for name in there},
        }
    return table


def _by_query(names: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True) if not np.isnan(value)}


def _interval(parts: Sequence[Mapping[str, float]]) -> list[float]:
    """Return the 95% interval of the mean over all seeds; a query that several seeds tested is drawn as one."""
    total: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for part in parts:
        for name, value in part.items():
            total[name] += value
            count[name] += 1
    drawn = bootstrap_means(np.array([[total[name], count[name]] for name in total]))
    return list(intervals(drawn[:, :1] / drawn[:, 1:])[0])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
