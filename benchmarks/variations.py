"""Policies when something changes: members join after training, or a part of the policy is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from common import show, split, tell
from policies import accuracy_at, points, sweep
from selection import Bar

from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.pretraining import PretrainingConfig
from langchain_atlas.learning.rewards import Rewards
from langchain_atlas.learning.training import TrainingConfig
from langchain_atlas.routers.policy.network import PolicyConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from policies import Swept, Trainer

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.policy.router import RLRouter

PROBES = 30
"""Outcomes of each pair that joins."""


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
            curves[name].append(points(swept))
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
            curves[name].append(points(sweep(router, part)))
        tell(f"  a new generation, seed {seed}")
    way = []
    top = min(max(cost for cost, _ in part) for part in curves["old"])
    for dollars in np.geomspace(0.3, 1.0, 5) * top:
        reached = {
            name: float(np.mean([accuracy_at(part, dollars) for part in parts])) for name, parts in curves.items()
        }
        way.append((reached["joined"] - reached["old"]) / max(reached["everybody"] - reached["old"], 1e-9))
    return {"share_of_the_way": float(np.mean(way)), "curves": curves}


def compared(
    first: Sequence[Sequence[tuple[float, float]]], second: Sequence[Sequence[tuple[float, float]]]
) -> dict[str, Any]:
    """Set two sets of curves side by side at equal cost."""
    low = max(min(cost for cost, _ in curve) for curve in (*first, *second))
    high = min(max(cost for cost, _ in curve) for curve in (*first, *second))
    gains = {
        f"{dollars:.3g}": float(
            np.mean([accuracy_at(b, dollars) - accuracy_at(a, dollars) for a, b in zip(first, second, strict=True)])
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
        "PPO alone (no first lesson on gains)": replace(usual, pretraining=PretrainingConfig(gain_steps=0)),
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
    curve = points(swept)
    return {f"{share:.2f}": accuracy_at(curve, share * bar.cost) - bar.accuracy for share in (0.15, 0.25, 0.5, 1.0)}


def show_ablations(figures: Mapping[str, Mapping[str, float]]) -> None:
    """Print what each part is worth."""
    headings = ("points to the best single pair, at share of its cost", *next(iter(figures.values())))
    show(
        "Ablations, BFCL in distribution, one split",
        headings,
        [(name, *(f"{100 * value:+.1f}" for value in row.values())) for name, row in figures.items()],
    )
