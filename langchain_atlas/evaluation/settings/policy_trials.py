"""Measures a policy that calls several pairs, at every setting, on queries and kinds of query not in its memory.

The networks were trained on all queries, but store none of them: every query is seen through a memory without its
part, or without its whole kind, as a live one would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.evaluation.settings.choosing import Trials, choose
from langchain_atlas.routers.utility.guard import most_accurate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.learning.recordings import HeldOutStatistics, Recordings
    from langchain_atlas.learning.rollout import Outcomes
    from langchain_atlas.progress import Progress
    from langchain_atlas.routers.operating import OperatingCurve
    from langchain_atlas.routers.policy.router import RLRouter

LEAST_VALUE = {False: 0.25, True: 1.86}
"""Default minimum value of a right answer, in calls of the most expensive pair, for a familiar policy and for a
cautious one. Smaller values lost accuracy too often in measurements to be a default."""

DOUBT = 0.8
"""Confidence with which a setting must be shown to be worse to be ruled out."""

FEWEST_QUERIES = 300
"""With fewer logged queries, settings are not compared: one pair is used."""

_VALUES = np.geomspace(500.0, 0.05, 33)


def policy_trials(
    router: RLRouter, recordings: Recordings, *, seed: int = 0, progress: Progress | None = None
) -> Trials | None:
    """Measure a trained router at every setting.

    Args:
        router: the router after training.
        recordings: the outcomes that it was trained on.
        seed: seed of the parts.
        progress: called with the number of settings done, and of all settings.

    Returns:
        The measurements; None with too few queries.
    """
    from langchain_atlas.learning.recordings import held_out_statistics

    if len(recordings) < FEWEST_QUERIES:
        return None
    held_out = held_out_statistics(recordings, seed=seed, n_familiar=1, n_strange=1, thinned=False)
    values = router.featurizer.scale.dollars * np.unique(np.append(_VALUES, list(LEAST_VALUE.values())))[::-1]
    familiar: list[Outcomes] = []
    strange: list[Outcomes] = []
    for number, value in enumerate(values):
        for view, found in enumerate((familiar, strange)):
            found.append(_followed(router, recordings, held_out, view, router.price_at(value)))
        if progress is not None:
            progress(number + 1, len(values))
    singles = [_singles(recordings, part) for part in held_out.parts]
    settings = [_figures(recordings, outcomes) for outcomes in familiar]
    score, cost, latency, calls = map(np.stack, zip(*settings, _asked(recordings, singles[0]), strict=True))
    unseen = np.stack([*(outcomes.score.numpy() for outcomes in strange), _asked(recordings, singles[1])[0]])
    return Trials(
        values=values,
        single=str(recordings.outcomes.pairs[most_accurate(recordings.outcomes.scores)]),
        score=score,
        cost=cost,
        latency=latency,
        calls=calls,
        unseen=(unseen - unseen[-1]).astype(np.float64),
        n_kinds=max(len(recordings.outcomes.domain_names), len(np.unique(held_out.parts[1]))),
    )


def measure_policy(
    router: RLRouter, recordings: Recordings, *, seed: int = 0, progress: Progress | None = None
) -> OperatingCurve | None:
    """Measure a trained router at every setting, and choose one; None with too few queries."""
    trials = policy_trials(router, recordings, seed=seed, progress=progress)
    if trials is None:
        return None
    least = router.featurizer.scale.dollars * LEAST_VALUE[router.policy.config.cautious]
    return choose(trials, doubt=DOUBT, least_value=least, seed=seed)


def _followed(
    router: RLRouter, recordings: Recordings, held_out: HeldOutStatistics, view: int, price: float
) -> Outcomes:
    import torch

    from langchain_atlas.learning.rollout import follow

    n = len(recordings)
    prior = router.priced(held_out.rows(torch.arange(n), torch.full((n,), view)))
    floor = None
    if router.margin is not None:
        floor = (torch.from_numpy(_singles(recordings, held_out.parts[view])), router.margin)
    turns, least_gain = router.max_turns, router.least_gain
    return follow(router.policy, recordings, prior, price, turns=turns, least_gain=least_gain, floor=floor)


def _singles(recordings: Recordings, part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the best single pair on each query, chosen without the query's part; the next best where not recorded."""
    scores = recordings.outcomes.scores.astype(np.float64)
    known = ~np.isnan(scores)
    found = np.zeros(len(scores), dtype=np.int64)
    for number in np.unique(part):
        held, rest = part == number, scores[part != number]
        accuracy = np.nansum(rest, axis=0) / np.maximum((~np.isnan(rest)).sum(axis=0), 1)
        accuracy[most_accurate(rest)] = 2.0
        order = np.argsort(-accuracy, kind="stable")
        found[held] = order[known[held][:, order].argmax(axis=1)]
    return found


def _asked(recordings: Recordings, columns: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    rows = np.arange(len(columns))
    asked = [values[rows, columns].astype(np.float64) for values in recordings.outcomes.arrays().values()]
    return (*asked, np.ones(len(columns)))


def _figures(recordings: Recordings, outcomes: Outcomes) -> tuple[NDArray[np.float64], ...]:
    """Return score, dollars, seconds and calls of each query; a sum with an unknown part is unknown."""
    called = outcomes.called.numpy()
    made = called >= 0
    rows = np.arange(len(called))[:, None]
    sums = [
        np.where(made, values[rows, called], 0.0).sum(axis=1).astype(np.float64)
        for values in (recordings.outcomes.costs, recordings.outcomes.latencies)
    ]
    return (outcomes.score.numpy().astype(np.float64), *sums, made.sum(axis=1).astype(np.float64))
