"""The outcome matrix: one layout for all who learn or measure."""

import numpy as np
import pytest
from recorded import row, table_of

from langchain_atlas.errors import OutcomeError, PoolError
from langchain_atlas.outcomes import OutcomeMatrix
from langchain_atlas.pool.pool import Pair

A, B, C = Pair("a"), Pair("b"), Pair("c")
NAN = float("nan")
TABLE = table_of(
    row("q1", "a", 1.0, 0.001, domain="red", latency_s=1.0),
    row("q1", "b", 0.0, 0.004, domain="red", latency_s=2.0),
    row("q2", "a", None, 0.002, domain="blue", latency_s=3.0),
    row("q3", "b", 0.5, None, domain="red", latency_s=None),
)


def test_a_table_is_laid_out_as_queries_by_pairs() -> None:
    outcomes = OutcomeMatrix.of(TABLE)
    assert (outcomes.pairs, outcomes.domains, len(outcomes)) == ((A, B), ("red", "blue", "red"), 3)
    np.testing.assert_array_equal(outcomes.scores, [[1, 0], [NAN, NAN], [NAN, 0.5]])
    np.testing.assert_array_equal(outcomes.costs, [[0.001, 0.004], [0.002, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(outcomes.latencies, [[1, 2], [3, NAN], [NAN, NAN]])
    assert outcomes.recorded.tolist() == [[True, True], [False, False], [False, True]]
    assert outcomes.counts.tolist() == [1, 2]
    assert (outcomes.domain_names, outcomes.domain_numbers.tolist()) == (("blue", "red"), [1, 0, 1])


def test_pairs_are_laid_out_in_the_order_asked_for() -> None:
    np.testing.assert_array_equal(OutcomeMatrix.of(TABLE, [B, A]).scores, OutcomeMatrix.of(TABLE).scores[:, ::-1])
    with pytest.raises(PoolError, match="Unknown pair 'c@@none'"):
        OutcomeMatrix.of(TABLE, [C])


def test_what_has_no_score_can_be_left_out() -> None:
    """The one run without a score; an unknown cost stays unknown."""
    scored = OutcomeMatrix.of(TABLE).scored()
    np.testing.assert_array_equal(scored.costs, [[0.001, 0.004], [NAN, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(scored.latencies, [[1, 2], [NAN, NAN], [NAN, NAN]])


def test_nothing_can_be_learned_without_a_score() -> None:
    assert OutcomeMatrix.of(TABLE).checked("it") is not None
    with pytest.raises(OutcomeError, match="it has no score; there is nothing to learn from"):
        OutcomeMatrix.of(TABLE.select(query_ids=["q2"])).checked("it")


def test_rows_and_columns_are_chosen_by_number() -> None:
    part = OutcomeMatrix.of(TABLE).rows([2, 0]).columns([1])
    assert (part.pairs, part.domains) == ((B,), ("red", "red"))
    np.testing.assert_array_equal(part.scores, [[0.5], [0]])


def test_a_pair_that_is_not_there_has_nothing_recorded() -> None:
    part = OutcomeMatrix.of(TABLE).with_pairs((C, A))
    np.testing.assert_array_equal(part.scores, [[NAN, 1], [NAN, NAN], [NAN, NAN]])
    assert part.pairs == (C, A)


def test_pairs_of_another_one_are_put_beside_its_own() -> None:
    """Its first query is the second here, its other one is new; of the pair that both have, nothing is added."""
    other = OutcomeMatrix.of(table_of(row("x", "c", 1.0, 0.1, domain="green"), row("x", "a", 0.0), row("y", "c", 0.25)))
    joined = OutcomeMatrix.of(TABLE).joined(other, [1, 3])
    assert joined.pairs == (A, B, C)
    assert joined.domains == ("red", "blue", "red", "")
    np.testing.assert_array_equal(joined.scores, [[1, 0, NAN], [NAN, NAN, 1], [NAN, 0.5, NAN], [NAN, NAN, 0.25]])


def test_numbers_may_be_of_another_width() -> None:
    narrow = OutcomeMatrix.of(TABLE).astype(np.float32)
    assert {array.dtype for array in narrow.arrays().values()} == {np.dtype(np.float32)}


def test_it_is_rebuilt_from_its_arrays() -> None:
    outcomes = OutcomeMatrix.of(TABLE)
    again = OutcomeMatrix.from_arrays(outcomes.arrays(), outcomes.pairs, outcomes.domains)
    assert again.pairs == outcomes.pairs
    np.testing.assert_array_equal(again.latencies, outcomes.latencies)
