"""Path two, a policy that asks again: beside the cluster router and single pairs, with drift, newcomers and ablations.

Run with: make bench-rl
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from bfcl import TRIOS, main_pool
from common import RESULTS, Clock, check, encoder_for, listed, load, show_checks, split, tell, write
from policies import WEIGHTS, Swept, Trainer, agrees_with_loop, choose, rules, sweep
from reasoning import INCOMPLETE
from reasoning import TRAINING as REASONING
from reporting import show_sheet
from selection import Bar
from study import HINDSIGHT, TRAINED, Sheet
from variations import ablations, generation, newcomers, show_ablations

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.dual import DUAL_LEAST_GAIN, calibrate
from langchain_atlas.routers.learned.knn import KNNRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.policy.router import RLRouter

MINI = "gpt-4o-mini-2024-07-18@@prompt"

PARTS = ("bfcl", "bfcl-drift", "reasoning", "reasoning-drift", "generation", "routerbench", "ablations")
"""What can be measured by itself; `bfcl` includes the newcomers."""


def add_rl(sheet: Sheet, name: str, table: OutcomeTable, swept: Swept, chosen: Mapping[str, int]) -> None:
    """Take down what a policy did at the chosen weights."""
    bar = sheet.scores[HINDSIGHT][-1]
    for rule, row in chosen.items():
        label = f"{name}, {rule}"
        by_query = dict(zip(table.query_ids, swept.score[row].tolist(), strict=True))
        sheet.scores[label].append(by_query)
        sheet.apart[label].append({query: score - bar[query] for query, score in by_query.items() if query in bar})
        sheet.costs[label].append(1000 * float(swept.cost[row].mean()))
        sheet.alphas[label].append(WEIGHTS[row])


def one_split(sheet: Sheet, trainer: Trainer, training: OutcomeTable, test: OutcomeTable, seed: int) -> RLRouter:
    """Measure everything on one split."""
    encoder = trainer.encoder
    cluster = ClusterRouter(encoder, random_state=seed).fit(training)
    routers: dict[str, Any] = {
        TRAINED: SinglePairRouter(Bar.of(training).pair),
        "cluster, alpha 0.5": cluster,
        "cluster, alpha 0.1": cluster.configure(cost_weight=0.1),
        "cluster, accuracy alone": cluster.configure(cost_weight=0.0),
        "knn, accuracy alone": KNNRouter(encoder, random_state=seed).fit(training).configure(cost_weight=0.0),
    }
    if MINI in map(str, test.pairs):
        routers["gpt-4o-mini, prompt"] = SinglePairRouter(MINI)
    with trainer.clock.part("baselines"):
        sheet.add(evaluate(routers, test, n_bootstrap=1), test.query_ids)
    router, validated, held = trainer.fit(training, seed)
    with trainer.clock.part("replay"):
        swept = sweep(router, test)
    chosen = choose(validated, training)
    add_rl(sheet, "RL", test, swept, chosen)
    add_dual(sheet, trainer, (training, held, test), router, (validated, swept), seed=seed)
    agreed = agrees_with_loop(router, test, swept)
    if agreed < 0.95:  # noqa: PLR2004  # rounding may turn a tie
        raise RuntimeError(f"The loop gives other answers than the short way on {1 - agreed:.0%} of the queries.")
    tell(f"  seed {seed}: {len(training.query_ids)} queries to train on, {len(test.query_ids)} to test")
    return router


def add_dual(
    sheet: Sheet,
    trainer: Trainer,
    tables: tuple[OutcomeTable, OutcomeTable, OutcomeTable],
    router: RLRouter,
    swept: tuple[Swept, Swept],
    *,
    seed: int,
) -> None:
    """Join cluster and policy at the 25% budget, the switch calibrated on the validation part."""
    training, held, test = tables
    held_ids = set(held.query_ids)
    kept = training.select(query_ids=[name for name in training.query_ids if name not in held_ids])
    row = choose(swept[0], training)["25% budget"]

    def by_cluster(fitted: ClusterRouter, table: OutcomeTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        columns = [table.pair_number(decision.pair) for decision in fitted.decide_batch(table.queries) if decision.pair]
        rows = np.arange(len(table.query_ids))
        return table.matrix("score")[rows, columns], table.matrix("cost_usd")[rows, columns]

    def distances(memory: OutcomeTable, table: OutcomeTable) -> NDArray[np.float64]:
        read = Recordings.of(memory, trainer.encoder, like=router.featurizer)
        seen = Recordings.of(table, trainer.encoder, like=router.featurizer).seen
        near: NDArray[np.float64] = read.featurizer.prior(seen).of_query("near")
        return near

    before = ClusterRouter(trainer.encoder, random_state=seed).fit(kept)
    found = calibrate(
        distances(kept, held), by_cluster(before, held), (swept[0].score[row], swept[0].cost[row]), seed=seed
    )
    after = by_cluster(ClusterRouter(trainer.encoder, random_state=seed).fit(training), test)
    edge = 0.0 if router.policy.config.cautious else found.distance  # as `DualRouter` does
    near = distances(training, test) < edge
    parted = sweep(router.configure(least_gain=DUAL_LEAST_GAIN), test)
    joined = Swept(
        score=np.where(near, after[0], parted.score[row])[None],
        cost=np.where(near, after[1], parted.cost[row])[None],
        calls=parted.calls[[row]],
    )
    tell(f"  dual, seed {seed}: {parted.calls[row]:.2f} calls a query instead of {swept[1].calls[row]:.2f}")
    add_rl(sheet, "dual", test, joined, {"25% budget": 0})


def in_distribution(
    trainer: Trainer, table: OutcomeTable, seeds: Sequence[int]
) -> tuple[Sheet, list[tuple[OutcomeTable, OutcomeTable, RLRouter]]]:
    """Train on a random 70% of the queries and test on the rest, once for each seed."""
    sheet, fitted = Sheet(), []
    for seed in seeds:
        training, test = split(table, seed)
        fitted.append((training, test, one_split(sheet, trainer, training, test, seed)))
    return sheet, fitted


def out_of_distribution(
    trainer: Trainer, table: OutcomeTable, parts: Mapping[str, Sequence[str]], seeds: Sequence[int]
) -> dict[str, Sheet]:
    """Train on some domains and test on all others, once for each part and seed."""
    sheets = {}
    for name, domains in parts.items():
        others = [domain for domain in dict.fromkeys(table.domains) if domain not in domains]
        sheets[name] = Sheet()
        for seed in seeds:
            tell(f"out of distribution, {name}")
            training, test = table.select(domains=domains), table.select(domains=others)
            one_split(sheets[name], trainer, training, test, seed)
    return sheets


def against(what: str, sheets: Sequence[Sheet], bars: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Compare the policy's rows with points to reach at a share of the best single pair's cost."""
    checks, every = [], [sheet.figures() for sheet in sheets]
    for share, least in bars:
        found = []
        for rule in rules():
            rows = [figures[f"RL, {rule}"] for figures in every]
            apart = float(np.mean([row["versus_best_single"] for row in rows]))
            spent = float(np.mean([row["share_of_best_single_cost"] for row in rows]))
            if spent <= share:
                found.append((apart, spent, rule))
        apart, spent, rule = max(found, default=(float("nan"), float("nan"), "nothing"))
        checks.append(
            check(
                f"{what}: {100 * least:+.1f} points at no more than {share:.0%} of the best single pair's cost",
                f"{100 * apart:+.2f} at {100 * spent:.0f}% ({rule})",
                passed=apart >= least,
            )
        )
    return checks


def joined_well(what: str, sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """Compare the dual path with the better of its two at the same setting, and its cost with the policy's."""

    def mean(row: str, figure: str) -> float:
        return float(np.mean([sheet.figures()[row][figure] for sheet in sheets]))

    dual, policy, cluster = "dual, 25% budget", "RL, 25% budget", "cluster, alpha 0.5"
    better = max(mean(policy, "accuracy"), mean(cluster, "accuracy"))
    lead = mean(dual, "accuracy") - better
    cost = mean(dual, "cost_usd_per_1k") / mean(policy, "cost_usd_per_1k")
    return [
        check(
            f"{what}: the dual path within 0.3 points of the better path, at no more than the policy's cost",
            f"{100 * lead:+.2f} at {100 * cost:.0f}% of the policy's cost",
            passed=lead >= -0.003 and cost <= 1 + 1e-9,  # noqa: PLR2004
        )
    ]


def above_others(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """Compare the policy out of distribution with a cheap pair, and with the cluster router."""
    figures = [sheet.figures() for sheet in sheets]
    mini = float(np.mean([rows["gpt-4o-mini, prompt"]["versus_best_single"] for rows in figures]))
    checks = against("BFCL, out of distribution, above gpt-4o-mini", sheets, ((0.25, mini),))
    ours = float(np.mean([rows["RL, 60% budget"]["accuracy"] for rows in figures]))
    for row in ("cluster, alpha 0.5", "cluster, accuracy alone"):
        lead = ours - float(np.mean([rows[row]["accuracy"] for rows in figures]))
        checks.append(
            check(f"BFCL, out of distribution: 3 points above {row}", f"{100 * lead:+.2f}", passed=lead >= 0.03)  # noqa: PLR2004
        )
    return checks


class Bench:
    """Everything measured; one method a part, each of which returns its figures and what must be shown of them."""

    def __init__(self, seeds: Sequence[int], clock: Clock) -> None:
        self.seeds = seeds
        self.whole, self.reasons, self.routed = map(
            load, ("bfcl_pairs.parquet", "reasoning_pairs.parquet", "routerbench.parquet")
        )
        self.pool = main_pool(self.whole)
        self.reasons = self.reasons.select(
            domains=[name for name in dict.fromkeys(self.reasons.domains) if name != INCOMPLETE]
        )
        with clock.part("encode"):
            self.trainer = Trainer(encoder_for(self.whole, self.reasons, self.routed), clock)

    def bfcl(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure familiar function calls, and pairs that join."""
        sheet, fitted = in_distribution(self.trainer, self.pool, self.seeds)
        show_sheet(f"BFCL, in distribution, seeds {listed(self.seeds)}", sheet)
        joined = newcomers(self.whole, fitted, self.seeds)
        gain = joined["best_gain"]
        checks = against("BFCL, in distribution", [sheet], ((0.15, -0.005), (1.0, 0.01)))
        checks.append(
            check("33 newcomers: 1 point more at equal cost", f"{100 * gain:+.2f}", passed=gain >= 0.01)  # noqa: PLR2004
        )
        return {"rows": sheet.to_json(), "newcomers": joined}, checks + joined_well("BFCL, in distribution", [sheet])

    def bfcl_drift(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure function calls of other domains than those trained on."""
        sheets = out_of_distribution(self.trainer, self.pool, TRIOS, self.seeds)
        for name, sheet in sheets.items():
            show_sheet(f"BFCL, out of distribution, trio {name}", sheet)
        every = list(sheets.values())
        checks = against("BFCL, out of distribution", every, ((0.6, -0.01),)) + above_others(every)
        figures = {name: sheet.to_json() for name, sheet in sheets.items()}
        return figures, checks + joined_well("BFCL, out of distribution", every)

    def reasoning(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure familiar reasoning."""
        sheet, _ = in_distribution(self.trainer, self.reasons, self.seeds)
        show_sheet(f"Reasoning, in distribution, seeds {listed(self.seeds)}", sheet)
        checks = against("reasoning, in distribution", [sheet], ((0.6, 0.01), (0.35, -0.01)))
        return sheet.to_json(), checks + joined_well("reasoning, in distribution", [sheet])

    def reasoning_drift(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure reasoning of other domains than those trained on."""
        sheets = out_of_distribution(self.trainer, self.reasons, REASONING, self.seeds)
        for name, sheet in sheets.items():
            show_sheet(f"Reasoning, out of distribution, {name}", sheet)
        every = list(sheets.values())
        checks = against("reasoning, out of distribution", every, ((0.5, -0.01),))
        figures = {name: sheet.to_json() for name, sheet in sheets.items()}
        return figures, checks + joined_well("reasoning, out of distribution", every)

    def generation(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure what a new generation of models brings that joins after training."""
        found = generation(self.trainer, self.reasons, self.seeds)
        way = found["share_of_the_way"]
        return found, [check("a new generation: 80% of the way", f"{way:.0%}", passed=way >= 0.8)]  # noqa: PLR2004

    def routerbench(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure three tasks without tools."""
        sheet, _ = in_distribution(self.trainer, self.routed, self.seeds)
        show_sheet(f"RouterBench, seeds {listed(self.seeds)}", sheet)
        return sheet.to_json(), []

    def ablations(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Measure what each part of the policy is worth."""
        figures = ablations(self.trainer, self.pool)
        show_ablations(figures)
        return figures, []


def main() -> None:
    """Measure, print, and write the figures; those of parts not asked for are kept as they are in the file."""
    parser = argparse.ArgumentParser(description="The policy that asks again.")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds: 0, 1, ... (default %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS / "rl.json", help="file for the figures")
    asked, clock = parser.parse_args(), Clock()
    torch.set_num_threads(1)  # its products are small: a second thread only waits for the first
    bench = Bench(tuple(range(asked.seeds)), clock)
    figures: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    figures["seeds"] = list(bench.seeds)
    shown: dict[str, Any] = figures.setdefault("must_show", {})
    for part in asked.parts:
        measure: Callable[[], tuple[Any, list[dict[str, Any]]]] = getattr(bench, part.replace("-", "_"))
        figures[part], shown[part] = measure()
        show_checks(shown[part])
        write(asked.out, figures, clock)  # what is measured so far is not lost if the rest is cut off
    show_checks([one for part in PARTS for one in shown.get(part, [])])


if __name__ == "__main__":
    main()
