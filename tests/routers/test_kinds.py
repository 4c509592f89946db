"""The one registry of kinds: what `fit` makes, what it measures and what a saved folder may hold."""

import pytest

from langchain_atlas.routers.kinds import ALIASES, FITTED, KINDS, MEASURED, class_of
from langchain_atlas.routers.learned.base import EmbeddingRouter
from langchain_atlas.routers.saved.layout import LAYOUTS


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_and_its_class_have_one_name(kind: str) -> None:
    made = class_of(kind)
    assert made.kind == kind
    assert made.__name__.removesuffix("Router").lower().startswith(kind.replace("_", ""))


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_kind_has_a_file_of_its_name(kind: str) -> None:
    if issubclass(class_of(kind), EmbeddingRouter):
        assert class_of(kind).__module__ == f"langchain_atlas.routers.learned.{kind}"


def test_what_is_measured_can_be_fitted_and_its_arrays_are_known() -> None:
    assert set(MEASURED) < set(FITTED) < set(KINDS)
    assert set(LAYOUTS) == {kind for kind in KINDS if kind not in ("random", "single", "dual", "prompted", "zero_shot")}


def test_a_short_name_is_not_a_kind_itself() -> None:
    assert not set(ALIASES) & set(KINDS)
    assert set(ALIASES.values()) <= set(FITTED)
