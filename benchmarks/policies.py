"""Policies in the benchmarks: trained, swept over cost weights, and set to a budget on a validation part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import Clock, split
from selection import Bar

from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.learning.ppo import PPOConfig
from langchain_atlas.learning.recordings import Recordings
from langchain_atlas.learning.rollout import follow
from langchain_atlas.learning.training import TrainingConfig, train
from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.policy.settings import price_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.policy.router import RLRouter

WEIGHTS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.17, 0.25, 0.35, 0.45, 0.55, 0.67, 0.78, 0.86, 0.89, 0.92)
"""Cost weights tried."""

FIXED = (0.02, 0.12, 0.45, 0.78, 0.86, 0.92)
"""Cost weights that have a row of their own, for those who set one and look at no validation part."""

SHARES = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.6, 1.0)
"""Budgets, as parts of what the training part's best single pair costs."""

VALIDATION = 0.2


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
    recordings = Recordings.of(table, router.encoder, like=router.featurizer)
    router = router.restrict(table.pairs)
    router = router.restrict(router.supported)
    columns = [table.pair_number(pair) for pair in router.pairs]
    recordings = recordings.columns(columns)
    prior = router.priced(router.featurizer.prior(recordings.seen))
    floor = None if router.margin is None else (torch.full((len(recordings),), router.default), router.margin)
    outcomes = [
        follow(
            router.policy,
            recordings,
            prior,
            price_of(weight),
            turns=turns,
            floor=floor,
            least_gain=router.least_gain,
        )
        for weight in WEIGHTS
    ]
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
        everything = Recordings.of(training, self.encoder, like=router.featurizer)
        return router.with_memory(everything.featurizer), swept, held


def choose(swept: Swept, training: OutcomeTable) -> dict[str, int]:
    """Choose a weight for every budget, on the validation part; fixed weights need no choosing."""
    bar = Bar.of(training)
    budgets = {f"{100 * share:.0f}% budget": swept.best_within(share * bar.cost) for share in SHARES}
    return budgets | {f"cost weight {weight}": WEIGHTS.index(weight) for weight in FIXED}


def rules() -> list[str]:
    """Return the names that `choose` gives, in order."""
    return [f"{100 * share:.0f}% budget" for share in SHARES] + [f"cost weight {weight}" for weight in FIXED]


def points(swept: Swept) -> list[tuple[float, float]]:
    """Return dollars for 1000 queries and accuracy, at each weight."""
    return [
        (1000 * float(cost), float(score))
        for cost, score in zip(swept.cost.mean(axis=1), swept.score.mean(axis=1), strict=True)
    ]


def accuracy_at(curve: Sequence[tuple[float, float]], dollars: float) -> float:
    """Return the accuracy at a cost, between neighbouring weights."""
    ordered = sorted(curve)
    return float(np.interp(dollars, [cost for cost, _ in ordered], [score for _, score in ordered]))
