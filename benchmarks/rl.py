"""Path two, a policy that asks again: beside the cluster router and single pairs, with drift, newcomers and ablations.

Run with: make bench-rl
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from bfcl import TRIOS, main_pool
from common import Clock, check, encoder_for, listed, load, options, show, show_checks, split, tell, write
from reasoning import INCOMPLETE
from reasoning import TRAINING as REASONING
from reporting import show_sheet
from selection import Bar
from study import HINDSIGHT, TRAINED, Sheet

from langchain_atlas.evaluation.benchmark import evaluate
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.belief import LessonConfig
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.learning.rollout import follow
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop import solve
from langchain_atlas.routers.baselines import SinglePairRouter
from langchain_atlas.routers.cluster import ClusterRouter
from langchain_atlas.routers.dual import calibrate
from langchain_atlas.routers.neighbours import NeighbourRouter
from langchain_atlas.routers.outlook import Outlook
from langchain_atlas.routers.policy import PolicyConfig
from langchain_atlas.routers.rl import price_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.rl import RLRouter

WEIGHTS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.17, 0.25, 0.35, 0.45, 0.55, 0.67, 0.78, 0.86)
"""Cost weights tried."""

SHARES = (0.15, 0.2, 0.25, 0.35, 0.5, 0.6, 1.0)
"""Budgets, as parts of what the training part's best single pair costs."""

VALIDATION = 0.2
PROBES = 30
MINI = "gpt-4o-mini-2024-07-18@@prompt"


@dataclass(frozen=True)
class Swept:
    """What a policy did at each of `WEIGHTS`; arrays have shape [n_weights, n_queries]."""

    score: NDArray[np.float64]
    """Score of the answer given."""
    cost: NDArray[np.float64]
    """Dollars."""
    calls: NDArray[np.float64]
    """Mean number of calls at each weight, shape [n_weights]."""

    def best_within(self, dollars: float) -> int:
        """Return the lowest weight that costs at most this much for 1000 queries; the cheapest if none does.

        More spent is more accurate by the policy's own reckoning. Picking the most accurate on a few hundred queries
        would be picking the luckiest.
        """
        cost = 1000 * self.cost.mean(axis=1)
        affordable = np.flatnonzero(cost <= dollars)
        return int(affordable[0]) if len(affordable) else int(cost.argmin())


def sweep(router: RLRouter, table: OutcomeTable, *, turns: int = 4) -> Swept:
    """Replay a policy at every cost weight, all queries at once; `agrees_with_loop` checks it against the loop."""
    recordings = Recordings.of(table, router.encoder, like=router.outlook)
    router = router.restrict(table.pairs)
    columns = [table.pair_number(pair) for pair in router.pairs]
    recordings = recordings.columns(columns)
    prospect = router.outlook.prospect(recordings.seen)
    outcomes = [follow(router.policy, recordings, prospect, price_of(weight), turns=turns) for weight in WEIGHTS]
    return Swept(
        score=np.array([outcome.score.numpy() for outcome in outcomes], dtype=np.float64),
        cost=np.array([outcome.cost.numpy() for outcome in outcomes], dtype=np.float64),
        calls=np.array([outcome.calls.numpy().mean() for outcome in outcomes]),
    )


def agrees_with_loop(
    router: RLRouter, table: OutcomeTable, swept: Swept, weight: float = 0.12, count: int = 40
) -> float:
    """Return the share of queries on which the loop that serves users scores what the short way says."""
    executor = ReplayExecutor(table)
    configured = router.restrict(table.pairs).configure(cost_weight=weight)
    row, same = WEIGHTS.index(weight), 0
    for number, query in enumerate(table.queries[:count]):
        allowed = query.replace(constraints=query.constraints.replace(pairs=executor.recorded(query)))
        given = solve(allowed, configured, executor).answered_by
        score = 0.0 if given is None else executor.score(given.pair, query)
        same += abs(score - swept.score[row, number]) < 1e-6  # noqa: PLR2004  # stored as 32-bit numbers
    return same / min(count, len(table.queries))


@dataclass
class Trainer:
    """Trains policies, and chooses their settings on a validation part."""

    encoder: Encoder
    """Shared, so that every text is encoded once."""
    clock: Clock
    """Takes down how long things took."""
    steps: int = 250
    """PPO updates."""

    def fit(
        self, training: OutcomeTable, seed: int, config: TrainingConfig | None = None
    ) -> tuple[RLRouter, Swept, OutcomeTable]:
        """Train on four fifths of the training part; the policy then remembers all of it.

        Returns:
            The router, what it did on the other fifth at each weight when it remembered only the four, and that fifth.
        """
        kept, held = split(training, 1000 + seed, 1 - VALIDATION)
        config = config or TrainingConfig(ppo=PPOConfig(steps=self.steps))
        with self.clock.part("train"):
            router = train(kept, self.encoder, config=config, seed=seed)
        swept = sweep(router, held)
        everything = Recordings.of(training, self.encoder, like=router.outlook)
        outlook = Outlook.of(everything.memory, router.outlook.view, everything.descriptions, router.outlook.scale)
        return router.with_memory(outlook), swept, held


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


def choose(swept: Swept, training: OutcomeTable) -> dict[str, int]:
    """Choose a weight for every budget, on the validation part."""
    bar = Bar.of(training)
    return {f"{100 * share:.0f}% budget": swept.best_within(share * bar.cost) for share in SHARES}


def one_split(sheet: Sheet, trainer: Trainer, training: OutcomeTable, test: OutcomeTable, seed: int) -> RLRouter:
    """Measure everything on one split."""
    encoder = trainer.encoder
    cluster = ClusterRouter(encoder, random_state=seed).fit(training)
    routers: dict[str, Any] = {
        TRAINED: SinglePairRouter(Bar.of(training).pair),
        "cluster, alpha 0.5": cluster,
        "cluster, alpha 0.1": cluster.configure(alpha=0.1),
        "cluster, accuracy alone": cluster.configure(alpha=0.0),
        "knn, accuracy alone": NeighbourRouter(encoder, random_state=seed).fit(training).configure(alpha=0.0),
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
        read = Recordings.of(memory, trainer.encoder, like=router.outlook)
        outlook = Outlook.of(read.memory, router.outlook.view, read.descriptions, router.outlook.scale)
        return outlook.prospect(Recordings.of(table, trainer.encoder, like=router.outlook).seen).query[:, 1].numpy()

    before = ClusterRouter(trainer.encoder, random_state=seed).fit(kept)
    found = calibrate(
        distances(kept, held), by_cluster(before, held), (swept[0].score[row], swept[0].cost[row]), seed=seed
    )
    after = by_cluster(ClusterRouter(trainer.encoder, random_state=seed).fit(training), test)
    edge = 0.0 if router.policy.config.cautious else found.distance  # as `DualRouter` does
    near = distances(training, test) < edge
    joined = Swept(
        score=np.where(near, after[0], swept[1].score[row])[None],
        cost=np.where(near, after[1], swept[1].cost[row])[None],
        calls=np.zeros(1),
    )
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


def newcomers(
    whole: OutcomeTable, fitted: Sequence[tuple[OutcomeTable, OutcomeTable, RLRouter]], seeds: Sequence[int]
) -> dict[str, Any]:
    """Let the pairs that the main pool lacks join after training, with probe outcomes from the training part."""
    curves: dict[str, list[list[tuple[float, float]]]] = {"main pool": [], "extended": []}
    for seed, (training, test, router) in zip(seeds, fitted, strict=True):
        fresh = [pair for pair in whole.pairs if pair not in set(router.pairs)]
        drawn = np.random.default_rng(seed).choice(training.query_ids, PROBES, replace=False).tolist()
        extended = router.add_pairs(whole.select(pairs=fresh, query_ids=drawn))
        for name, held, table in (
            ("main pool", router, test),
            ("extended", extended, whole.select(query_ids=test.query_ids)),
        ):
            swept = sweep(held, table)
            curves[name].append(_points(swept))
        tell(f"  newcomers, seed {seed}")
    return compared(curves["main pool"], curves["extended"])


def generation(trainer: Trainer, table: OutcomeTable, seeds: Sequence[int]) -> dict[str, Any]:
    """Train on the pairs of the davinci models; then gpt-3.5-turbo and gpt-4 join with probes."""
    old = [pair for pair in table.pairs if "davinci" in pair.model]
    fresh = [pair for pair in table.pairs if "davinci" not in pair.model]
    curves: dict[str, list[list[tuple[float, float]]]] = {"old": [], "joined": [], "everybody": []}
    for seed in seeds:
        training, test = split(table, seed)
        before, _, _ = trainer.fit(training.select(pairs=old), seed)
        drawn = np.random.default_rng(seed).choice(training.query_ids, PROBES, replace=False).tolist()
        joined = before.add_pairs(training.select(pairs=fresh, query_ids=drawn))
        everybody, _, _ = trainer.fit(training, seed)
        for name, router, part in (
            ("old", before, test.select(pairs=old)),
            ("joined", joined, test),
            ("everybody", everybody, test),
        ):
            curves[name].append(_points(sweep(router, part)))
        tell(f"  a new generation, seed {seed}")
    way = []
    top = min(max(cost for cost, _ in part) for part in curves["old"])
    for dollars in np.geomspace(0.3, 1.0, 5) * top:
        reached = {name: np.mean([_at(part, dollars) for part in parts]) for name, parts in curves.items()}
        way.append((reached["joined"] - reached["old"]) / max(reached["everybody"] - reached["old"], 1e-9))
    return {"share_of_the_way": float(np.mean(way)), "curves": curves}


def _points(swept: Swept) -> list[tuple[float, float]]:
    return [
        (1000 * float(cost), float(score))
        for cost, score in zip(swept.cost.mean(axis=1), swept.score.mean(axis=1), strict=True)
    ]


def _at(curve: Sequence[tuple[float, float]], dollars: float) -> float:
    """Return the accuracy at a cost, between neighbouring weights."""
    ordered = sorted(curve)
    return float(np.interp(dollars, [cost for cost, _ in ordered], [score for _, score in ordered]))


def compared(
    first: Sequence[Sequence[tuple[float, float]]], second: Sequence[Sequence[tuple[float, float]]]
) -> dict[str, Any]:
    """Set two sets of curves side by side at equal cost."""
    low = max(min(cost for cost, _ in curve) for curve in (*first, *second))
    high = min(max(cost for cost, _ in curve) for curve in (*first, *second))
    gains = {
        f"{dollars:.3g}": float(
            np.mean([_at(b, dollars) - _at(a, dollars) for a, b in zip(first, second, strict=True)])
        )
        for dollars in np.geomspace(low, high, 7)
    }
    return {"gain_by_cost": gains, "best_gain": max(gains.values()), "mean_gain": float(np.mean(list(gains.values())))}


def ablations(trainer: Trainer, table: OutcomeTable, seed: int = 0) -> dict[str, dict[str, float]]:
    """Train without one thing at a time, on one split; accuracy at equal budgets against the best single pair."""
    training, test = split(table, seed)
    usual = TrainingConfig(ppo=PPOConfig(steps=trainer.steps))
    variants: dict[str, TrainingConfig] = {
        "as it is": usual,
        "without agreement": replace(usual, policy=PolicyConfig(agreement=False)),
        "without the record near the query": replace(usual, policy=PolicyConfig(nearby=False)),
        "with the selection reward": replace(usual, ppo=replace(usual.ppo, rewards=Rewards(selection=1.0))),
        "without the cost reward": replace(usual, ppo=replace(usual.ppo, rewards=Rewards(cost=0.0))),
        "without the format reward": replace(usual, ppo=replace(usual.ppo, rewards=Rewards(format=0.0))),
        "the first lesson alone (no PPO)": replace(usual, ppo=replace(usual.ppo, steps=0)),
        "plain policy gradient": replace(usual, ppo=replace(usual.ppo, clipped=False, epochs=1)),
        "PPO alone (no first lesson on gains)": replace(usual, lesson=LessonConfig(gain_steps=0)),
    }
    bar = Bar.of(test)
    figures = {}
    for name, config in variants.items():
        router, _, _ = trainer.fit(training, seed, config)
        figures[name] = _by_budget(sweep(router, test), bar)
        if name == "as it is":
            for turns in (1, 2, 3):
                figures[f"at most {turns} call{'s' if turns > 1 else ''}"] = _by_budget(
                    sweep(router, test, turns=turns), bar
                )
        tell(f"  ablation: {name}")
    return figures


def _by_budget(swept: Swept, bar: Bar) -> dict[str, float]:
    points = _points(swept)
    return {f"{share:.2f}": _at(points, share * bar.cost) - bar.accuracy for share in (0.15, 0.25, 0.5, 1.0)}


def must_show(
    inside: Sheet,
    outside: Mapping[str, Sheet],
    reasoning: Sheet,
    drifted: Mapping[str, Sheet],
    extra: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Compare with what the project set itself."""
    checks = []

    def against(what: str, sheets: Sequence[Sheet], bars: Sequence[tuple[float, float]]) -> None:
        for share, least in bars:
            found = []
            for budget in SHARES:
                rows = [sheet.figures()[f"RL, {100 * budget:.0f}% budget"] for sheet in sheets]
                apart = float(np.mean([row["versus_best_single"] for row in rows]))
                spent = float(np.mean([row["share_of_best_single_cost"] for row in rows]))
                if spent <= share:
                    found.append((apart, spent, budget))
            apart, spent, budget = max(found, default=(float("nan"), float("nan"), 0.0))
            checks.append(
                check(
                    f"{what}: {100 * least:+.1f} points at no more than {share:.0%} of the best single pair's cost",
                    f"{100 * apart:+.2f} at {100 * spent:.0f}% (the {budget:.0%} budget)",
                    passed=apart >= least,
                )
            )

    against("BFCL, in distribution", [inside], ((0.15, -0.005), (1.0, 0.01)))
    against("BFCL, out of distribution", list(outside.values()), ((0.6, -0.01),))
    mini = float(np.mean([s.figures()["gpt-4o-mini, prompt"]["versus_best_single"] for s in outside.values()]))
    against("BFCL, out of distribution, above gpt-4o-mini", list(outside.values()), ((0.25, mini),))
    ours = [s.figures()["RL, 60% budget"]["accuracy"] for s in outside.values()]
    for row in ("cluster, alpha 0.5", "cluster, accuracy alone"):
        theirs = [s.figures()[row]["accuracy"] for s in outside.values()]
        lead = float(np.mean(ours) - np.mean(theirs))
        checks.append(
            check(f"BFCL, out of distribution: 3 points above {row}", f"{100 * lead:+.2f}", passed=lead >= 0.03)  # noqa: PLR2004
        )
    against("reasoning, in distribution", [reasoning], ((0.6, 0.01), (0.35, -0.01)))
    against("reasoning, out of distribution", list(drifted.values()), ((0.5, -0.01),))
    gain = extra["newcomers"]["best_gain"]
    checks.append(check("33 newcomers: 1 point more at equal cost", f"{100 * gain:+.2f}", passed=gain >= 0.01))  # noqa: PLR2004
    way = extra["generation"]["share_of_the_way"]
    checks.append(check("a new generation: 80% of the way", f"{way:.0%}", passed=way >= 0.8))  # noqa: PLR2004
    return checks


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("rl", "The policy that asks again."), Clock()
    torch.set_num_threads(2)
    whole, reasons, bench = load("bfcl_pairs.parquet"), load("reasoning_pairs.parquet"), load("routerbench.parquet")
    pool = main_pool(whole)
    reasons = reasons.select(domains=[name for name in dict.fromkeys(reasons.domains) if name != INCOMPLETE])
    with clock.part("encode"):
        trainer = Trainer(encoder_for(whole, reasons, bench), clock)
    figures: dict[str, Any] = {"seeds": asked.seeds}

    def keep(name: str, value: Any) -> None:
        figures[name] = value
        write(asked.out, figures, clock)  # what is measured so far is not lost if the rest is cut off

    inside, fitted = in_distribution(trainer, pool, asked.seeds)
    keep("bfcl", inside.to_json())
    show_sheet(f"BFCL, in distribution, seeds {listed(asked.seeds)}", inside)
    outside = out_of_distribution(trainer, pool, TRIOS, asked.seeds)
    for name, sheet in outside.items():
        show_sheet(f"BFCL, out of distribution, trio {name}", sheet)
    keep("bfcl_out_of_distribution", {name: sheet.to_json() for name, sheet in outside.items()})
    keep("newcomers", newcomers(whole, fitted, asked.seeds))
    reasoning, _ = in_distribution(trainer, reasons, asked.seeds)
    show_sheet(f"Reasoning, in distribution, seeds {listed(asked.seeds)}", reasoning)
    keep("reasoning", reasoning.to_json())
    drifted = out_of_distribution(trainer, reasons, REASONING, asked.seeds)
    for name, sheet in drifted.items():
        show_sheet(f"Reasoning, out of distribution, {name}", sheet)
    keep("reasoning_out_of_distribution", {name: sheet.to_json() for name, sheet in drifted.items()})
    keep("generation", generation(trainer, reasons, asked.seeds[:1]))
    routed, _ = in_distribution(trainer, bench, asked.seeds[:1])
    show_sheet("RouterBench, one seed", routed)
    keep("routerbench", routed.to_json())
    keep("ablations", ablations(trainer, pool))
    show_ablations(figures["ablations"])
    checks = must_show(inside, outside, reasoning, drifted, figures)
    show_checks(checks)
    keep("must_show", checks)


def show_ablations(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print what each part is worth."""
    headings = ("points to the best single pair, at share of its cost", *next(iter(figures.values())))
    show(
        "Ablations, BFCL in distribution, one split",
        headings,
        [(name, *(f"{100 * value:+.1f}" for value in row.values())) for name, row in figures.items()],
    )


if __name__ == "__main__":
    sys.exit(main())
