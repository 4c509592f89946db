"""Small edits of a query, and how often they change a router's choice."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.evaluation.replay.robustness import choices_kept, perturb, robustness
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import START, Decision, Query, Trajectory


class FirstLetterRouter(Router):
    """Chooses by the case of the first letter."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        del trajectory
        if query.text.startswith("!"):
            raise ConstraintError("Nothing is allowed.")
        return Decision(kind="route", pair=Pair("upper" if query.text[:1].isupper() else "lower"))


class TestRobustness:
    def test_share_of_choices_kept(self) -> None:
        assert choices_kept(["a", "b"], [["a", "a"], ["b", "c"]]) == 0.75
        with pytest.raises(SettingError, match="at least one"):
            choices_kept([], [])

    def test_counts_flips_of_a_router(self) -> None:
        queries = [Query(text=f"what is the capital of country number {n}") for n in range(400)]
        assert robustness(FirstLetterRouter(), queries) == pytest.approx(0.8, abs=0.06)  # one edit in five
        assert robustness(FirstLetterRouter(), queries[:50], versions=3) == robustness(
            FirstLetterRouter(), queries[:50], versions=3
        )

    def test_a_refusal_is_a_choice(self) -> None:
        assert robustness(FirstLetterRouter(), [Query(text="!"), Query(text="!!")]) == 1.0

    def test_refuses_nothing_to_measure(self) -> None:
        with pytest.raises(SettingError, match="must be 1 or more"):
            robustness(FirstLetterRouter(), [])

    @settings(max_examples=300)
    @given(st.text(alphabet=string.printable), st.integers(0, 2**32))
    def test_an_edit_is_small_and_leaves_numbers_alone(self, text: str, seed: int) -> None:
        edited = perturb(text, np.random.default_rng(seed))
        assert edited != text
        assert abs(len(edited) - len(text)) <= 1
        assert [c for c in edited if c.isdigit()] == [c for c in text if c.isdigit()]
        assert len(set(edited.lower()) ^ set(text.lower())) <= 1

    def test_code_and_paths_stay_as_they_are(self) -> None:
        text = "call numpy.linalg.solve_triangular(matrix_a, vector_b) on /home/someone/matrices"
        words = {"numpy.linalg.solve_triangular(matrix_a,", "vector_b)"}
        for seed in range(100):
            assert words <= set(perturb(text, np.random.default_rng(seed)).split())
