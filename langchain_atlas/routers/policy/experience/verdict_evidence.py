"""How much a verifier's verdict says about whether an answer is right: learned from outcomes, never assumed.

Verdicts are counted against scores, over all pairs and for each of them. Few outcomes show little: every estimate is
shrunk, and its standard error is taken off it, so that a verifier that may as well guess counts as one that guesses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_atlas.trajectory import Observation

VERDICTS = ("unknown", "failed", "passed")
"""What a verdict can be, in the order of their columns."""

_STRENGTH = 2.0
"""Number of outcomes that the pass rate of all answers counts as, among right and among wrong ones."""

_OWN_STRENGTH = 30.0
"""Number of outcomes of all pairs that count for a pair as much as its own."""

_MOST_EVIDENCE = 4.0


def verdict_evidence(
    scores: NDArray[np.float64], known: NDArray[np.bool_], verdicts: NDArray[np.int8]
) -> NDArray[np.float32]:
    """Return the log-likelihood ratio that an answer is right, by its pair and its verdict.

    Args:
        scores: score of each answer, 0 to 1, shape [n, n_pairs].
        known: which scores are recorded, shape [n, n_pairs].
        verdicts: 1 passed, 0 failed, -1 unknown, shape [n, n_pairs].

    Returns:
        Shape [n_pairs, 3], in the order of `VERDICTS`; 0 for an unknown verdict.
    """
    there = known & (verdicts >= 0)
    right, wrong = scores * there, (1 - scores) * there
    passed = verdicts == 1
    counts = np.array(
        [[(part * where).sum(axis=0) for where in (~passed, passed)] for part in (right, wrong)]
    )  # right or wrong, failed or passed, pair
    all_pairs = counts.sum(axis=2, keepdims=True)
    total = all_pairs.sum(axis=1, keepdims=True)
    weight = np.minimum(1.0, _OWN_STRENGTH / np.maximum(total, 1e-9))  # what the others show of this pair
    ratio = _cautious(counts + weight * (all_pairs - counts), all_pairs)
    return np.concatenate([np.zeros((1, scores.shape[1])), ratio]).T.astype(np.float32)


def _cautious(counts: NDArray[np.float64], all_pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-likelihood ratios, moved towards 0 by their standard error; shape [2, n_pairs]."""
    usual = all_pairs.sum(axis=0, keepdims=True) / np.maximum(all_pairs.sum(), 1e-9)  # failed or passed, of all
    usual = np.clip(usual, 0.02, 0.98)
    shrunk = counts + _STRENGTH * usual
    chances = shrunk / shrunk.sum(axis=1, keepdims=True)
    ratio = np.log(chances[0] / chances[1])
    error = np.sqrt(((1 - chances) / shrunk).sum(axis=0))
    cautious: NDArray[np.float64] = np.sign(ratio) * np.maximum(np.abs(ratio) - error, 0.0)
    return cautious.clip(-_MOST_EVIDENCE, _MOST_EVIDENCE)


def verdict_in_words(observation: Observation) -> str:
    """Return a verdict as part of a sentence; empty if there is none that says anything."""
    verdict = observation.verdict
    return "" if verdict is None or verdict.status == "unknown" else f" (it {verdict.status} its check)"
