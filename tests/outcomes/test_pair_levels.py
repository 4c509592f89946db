"""What an outcome owes to its pair, and what to its query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from langchain_atlas.outcomes.pair_levels import Effects

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAN = np.nan


def outcomes(seed: int, n_queries: int = 2000, n_pairs: int = 6) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return outcomes of some pairs, the last the best, on queries of every ease, and the ease of the queries."""
    random = np.random.default_rng(seed)
    ease = random.uniform(-0.4, 0.4, n_queries)
    chance = np.linspace(0.4, 0.6, n_pairs) + ease[:, None]
    return (random.random(chance.shape) < chance).astype(float), ease


@pytest.mark.parametrize(("n_pairs", "left"), [(3, 0.75), (6, 0.5), (40, 0.15)])
def test_a_pair_that_only_ran_on_hard_queries_does_not_look_bad(n_pairs: int, left: float) -> None:
    """The more pairs tell how hard a query is, the less is left of the error."""
    scores, ease = outcomes(0, n_pairs=n_pairs)
    partial = scores.copy()
    partial[ease > 0, -1] = NAN  # the best of them
    mean, level, truth = np.nanmean(partial, axis=0)[-1], Effects.of(partial).level[-1], scores[:, -1].mean()
    assert mean < truth - 0.15
    assert abs(level - truth) < left * (truth - mean)


@pytest.mark.parametrize("seed", range(3))
def test_nor_one_that_was_asked_where_another_failed(seed: int) -> None:
    """Whether it runs depends on an outcome, not on anything that a query says of itself."""
    scores, _ = outcomes(seed)
    partial = scores.copy()
    partial[scores[:, 0] == 1, 5] = NAN
    level = Effects.of(partial).level
    assert abs(level[5] - scores[:, 5].mean()) < 0.5 * abs(np.nanmean(partial[:, 5]) - scores[:, 5].mean())
    assert np.argmax(level) == 5


def test_in_a_complete_table_the_levels_are_the_means() -> None:
    scores, _ = outcomes(0, 50)
    np.testing.assert_array_equal(Effects.of(scores).level, scores.mean(axis=0))


@pytest.mark.parametrize("scores", [[[NAN, NAN]], [[NAN, 1.0]], [[0.5]], [[1.0, 1.0], [1.0, NAN]]])
def test_too_little_to_tell_gives_numbers_all_the_same(scores: list[list[float]]) -> None:
    effects = Effects.of(np.array(scores))
    assert np.isfinite(effects.level).all()
    assert np.isfinite(effects.ease).all()


def test_pairs_that_share_no_query_keep_their_means() -> None:
    scores = np.array([[1.0, NAN], [1.0, NAN], [NAN, 0.0], [NAN, 1.0]])
    np.testing.assert_allclose(Effects.of(scores).level, [1.0, 0.5], atol=0.01)
