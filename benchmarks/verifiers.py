"""Verifiers: whole agents on real repositories, whose patches can't be compared, with a check that errs and without.

Every answer gets a simulated verdict that errs by the same share each way. Nothing is said to the policy about how
often it errs: it counts verdicts against scores. Settings are chosen on a validation part of the training part.

Run with: make bench-verifiers
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from common import (
    RESULTS,
    Clock,
    check,
    encoder_for,
    listed,
    load,
    money,
    points,
    show,
    show_checks,
    split,
    tell,
    write,
)
from policies import WEIGHTS, Swept, Trainer, agrees_with_loop, sweep
from selection import Bar

from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.training import TrainingConfig
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.policy.experience.verdict_evidence import VERDICTS, verdict_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.routers.policy.router import RLRouter

TABLE = "agentic_pairs.parquet"
GOOD, POOR = 0.1, 0.4
"""Shares of errors of the simulated checks."""
SHARES = (0.35, 0.5, 0.65)
"""Budgets, as parts of what the best single pair of the training part costs; the last leaves room below 70%."""
FEW = 50
"""Number of outcomes from which a policy must see that a check is worth nothing."""
PASSING = 0.5


def with_verdicts(table: OutcomeTable, error: float, seed: int) -> OutcomeTable:
    """Return the table with a verdict on every answer that is wrong in this share of the cases, either way."""
    score = table.table["score"].to_numpy()
    wrong = np.random.default_rng([seed, round(100 * error)]).random(len(score)) < error
    passed = (score >= PASSING) ^ wrong
    verdicts = pa.array(
        [None if np.isnan(one) else "passed" if good else "failed" for one, good in zip(score, passed, strict=True)]
    )
    return OutcomeTable(table.table.append_column("verdict", verdicts.cast(pa.large_string())), table.source)


def from_few(router: RLRouter, table: OutcomeTable, seed: int) -> RLRouter:
    """Return the router with what `FEW` outcomes of another check show of it, in place of what it knew of verdicts."""
    scores, verdicts = table.matrix("score", router.pairs), table.verdicts
    assert verdicts is not None  # noqa: S101  # they were added
    verdicts = verdicts[:, [table.pair_number(pair) for pair in router.pairs]]
    cells = np.flatnonzero(~np.isnan(scores))
    known = np.zeros(scores.size, dtype=bool)
    known[np.random.default_rng([seed, FEW]).choice(cells, FEW, replace=False)] = True
    found = verdict_evidence(np.nan_to_num(scores), known.reshape(scores.shape), verdicts)
    featurizer = router.featurizer
    return router.with_memory(replace(featurizer, record=replace(featurizer.record, by_verdict=found)))


def blind(router: RLRouter) -> RLRouter:
    """Return the router without any evidence in verdicts."""
    record = router.featurizer.record
    assert record.by_verdict is not None  # noqa: S101  # it was trained with some
    return router.with_memory(
        replace(router.featurizer, record=replace(record, by_verdict=np.zeros_like(record.by_verdict)))
    )


def figures(swept: Swept, row: int, bar: Bar) -> dict[str, float]:
    """Return what a policy did at one weight, beside the best single pair of the test part in hindsight."""
    accuracy, cost = float(swept.score[row].mean()), 1000 * float(swept.cost[row].mean())
    return {
        "accuracy": accuracy,
        "gain": accuracy - bar.accuracy,
        "share_of_cost": cost / bar.cost,
        "cost_usd_per_1k": cost,
        "calls": float(swept.calls[row]),
    }


def one_split(
    trainer: Trainer, table: OutcomeTable, seed: int, config: TrainingConfig, errors: Sequence[float | None]
) -> dict[str, Any]:
    """Measure everything on one split."""
    rows: dict[str, Any] = {}
    plain_training, plain_test = split(table, seed)
    bar, known_bar = Bar.of(plain_test), Bar.of(plain_training)
    for error in errors:
        checked = table if error is None else with_verdicts(table, error, seed)
        training, test = split(checked, seed)
        router, validated, _ = trainer.fit(training, seed, config)
        with trainer.clock.part("replay"):
            swept = sweep(router, test)
        name = "no check" if error is None else f"a check that errs by {error:.0%}"
        chosen = {share: validated.best_within(share * known_bar.cost) for share in SHARES}
        for share, row in chosen.items():
            rows[f"{name}, {share:.0%} budget"] = figures(swept, row, bar)
        if error is None:
            continue
        rows["agreement with the loop"] = agrees_with_loop(router, test, swept)
        poor_training, poor = split(with_verdicts(table, POOR, seed), seed)
        told = from_few(router, poor_training, seed)
        evidence = told.featurizer.record.by_verdict
        assert evidence is not None  # noqa: S101  # it was just put there
        rows["evidence of few"] = dict(zip(VERDICTS, evidence.mean(axis=0).tolist(), strict=True))
        row = chosen[SHARES[-1]]
        for label, one in (
            (f"errs by {POOR:.0%}, seen from {FEW} outcomes", told),
            (f"errs by {POOR:.0%}, verdicts ignored", blind(router)),
            (f"errs by {POOR:.0%}, taken for one of {GOOD:.0%}", router),
        ):
            rows[label] = figures(sweep(one, poor), row, bar)
    rows["best single pair, in hindsight"] = {"accuracy": bar.accuracy, "cost_usd_per_1k": bar.cost, "pair": bar.pair}
    tell(f"  seed {seed} done")
    return rows


def main() -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(description="A policy with and without a verifier, on whole agents.")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds: 0, 1, ... (default %(default)s)")
    parser.add_argument("--steps", type=int, default=250, help="updates of PPO (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a look: short training, and only with a check")
    parser.add_argument("--out", type=Path, default=RESULTS / "verifiers.json", help="file for the figures")
    given = parser.parse_args()
    table = load(TABLE)
    clock = Clock()
    with clock.part("encode"):
        encoder = encoder_for(table)
    trainer = Trainer(encoder, clock, given.steps)
    config = TrainingConfig(ppo=PPOConfig(steps=given.steps))
    if given.quick:
        short = PretrainingConfig(belief_steps=250, gain_steps=350, batch=256)
        config = replace(config, pretraining=short, ppo=PPOConfig(steps=min(given.steps, 20)))
    errors = (GOOD,) if given.quick else (None, GOOD)
    splits = [one_split(trainer, table, seed, config, errors) for seed in range(given.seeds)]
    means: dict[str, dict[str, float]] = defaultdict(dict)
    for name, first in splits[0].items():
        if isinstance(first, dict):
            for field in (key for key, value in first.items() if isinstance(value, float)):
                means[name][field] = float(np.mean([one[name][field] for one in splits]))
    shown = [name for name in means if name != "evidence of few"]
    show(
        f"{TABLE}, {given.seeds} splits (seeds {listed(range(given.seeds))}), {len(WEIGHTS)} weights, means",
        ("", "accuracy", "gain", "of its cost", "$ per 1000", "calls"),
        [
            (
                name,
                points(means[name]["accuracy"]),
                points(means[name].get("gain")),
                f"{100 * means[name].get('share_of_cost', 1.0):.0f}%",
                money(means[name]["cost_usd_per_1k"]),
                f"{means[name].get('calls', 1.0):.2f}",
            )
            for name in shown
        ],
        "gain: points over the best single pair of the test part, which is picked in hindsight",
    )
    good = means[f"a check that errs by {GOOD:.0%}, {SHARES[-1]:.0%} budget"]
    few, ignored = (means[f"errs by {POOR:.0%}, {how}"] for how in (f"seen from {FEW} outcomes", "verdicts ignored"))
    close = abs(few["accuracy"] - ignored["accuracy"])
    checks = [
        check(
            "+2 points over the best single pair at no more than 70% of its cost, with a check that errs by 10%",
            f"{100 * good['gain']:+.1f} points at {100 * good['share_of_cost']:.0f}%",
            passed=good["gain"] >= 0.02 and good["share_of_cost"] <= 0.7,  # noqa: PLR2004  # what must be shown
        ),
        check(
            "from 50 outcomes the policy sees that a check of 40% error is worth nothing",
            f"evidence of a pass {means['evidence of few']['passed']:+.2f} (a check of 10%: +2.2); {100 * close:.1f} "
            "points from ignoring it",
            passed=abs(means["evidence of few"]["passed"]) < 0.5 and close <= 0.02,  # noqa: PLR2004
        ),
    ]
    show_checks(checks)
    write(
        given.out,
        {"seeds": given.seeds, "steps": given.steps, "means": means, "splits": splits, "checks": checks},
        clock,
    )


if __name__ == "__main__":
    main()
