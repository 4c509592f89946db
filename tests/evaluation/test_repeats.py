"""The oracle that is not luck: picked by half of the runs, judged by the other half."""

import numpy as np
import pytest
from recorded import row, table_of

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.replay.repeats import lasting_oracle
from langchain_atlas.outcomes import OutcomeTable


def repeated(chance: dict[str, float], *, queries: int = 400, runs: int = 2) -> OutcomeTable:
    """Draw repeated runs of pairs; each is right with its own chance, whatever the query is."""
    draw = np.random.default_rng(0)
    return table_of(
        *(
            row(f"q{number}", pair, float(draw.random() < right), 0.001)
            for number in range(queries)
            for pair, right in chance.items()
            for _ in range(runs)
        )
    )


def test_luck_is_no_oracle() -> None:
    """Of two pairs that toss coins an oracle finds 75% right in hindsight, and run again gets half."""
    found = evaluate({}, repeated({"a@@none": 0.5, "b@@none": 0.5}))
    assert found.baselines["oracle"].accuracy > 0.6
    assert found.baselines["oracle_repeated"].accuracy == pytest.approx(0.5, abs=0.04)
    assert any("oracle that is not luck" in note for note in found.notes)


def test_what_pairs_are_good_at_lasts() -> None:
    rows = [
        row(f"q{number}", pair, float((pair == "a@@none") == (number % 2 == 0)), 0.001)
        for number in range(40)
        for pair in ("a@@none", "b@@none")
        for _ in range(2)
    ]
    runs = lasting_oracle(table_of(*rows))
    assert runs is not None
    assert runs.score.tolist() == [1.0] * 40


def test_an_uneven_number_of_runs_is_halved_as_well_as_can_be() -> None:
    rows = [
        row(f"q{number}", pair, score)
        for number in range(20)
        for pair, scores in (("a@@none", (1.0, 0.0, 1.0)), ("b@@none", (0.0, 0.0, 0.0)))
        for score in scores
    ]
    runs = lasting_oracle(table_of(*rows))
    assert runs is not None
    # Picked by the first and third run, the pair is judged by the second, and the other way round.
    assert runs.score.tolist() == [0.5] * 20


def test_without_repeated_runs_there_is_none() -> None:
    rows = [row(f"q{number}", pair, 1.0) for number in range(40) for pair in ("a@@none", "b@@none")]
    assert lasting_oracle(table_of(*rows)) is None
    assert "oracle_repeated" not in evaluate({}, table_of(*rows)).baselines
