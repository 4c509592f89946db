"""Variants of a model: the same model with other parameters, under a name of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from langchain_atlas import Model, Pool
from langchain_atlas.errors import PoolError

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
models:
  gpt5:
    litellm: openai/gpt-5
    description: Thinks well.
    options: {timeout: 30, reasoning_effort: medium}
    input_cost_per_token: 1.0e-6
    output_cost_per_token: 4.0e-6
    modalities: [text, image]
  gpt5-low: {base: gpt5, options: {reasoning_effort: low}}
  gpt5-short: {base: gpt5-low, description: Answers briefly., options: {max_tokens: 200}, output_cost_per_token: 3.0e-6}
exclude: ["gpt5@@*"]
"""


def pool_of(tmp_path: Path, text: str) -> Pool:
    (tmp_path / "pool.yaml").write_text(text)
    return Pool.load(tmp_path / "pool.yaml")


def test_a_variant_has_what_its_base_has(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, FILE)
    base, low, short = pool.models
    assert (low.litellm, low.base, low.modalities) == ("openai/gpt-5", "gpt5", base.modalities)
    assert low.options == {"timeout": 30, "reasoning_effort": "low"}
    assert low.price(1000, 100) == base.price(1000, 100)
    assert low.description == "Thinks well. Variant: reasoning effort low."
    assert (short.base, short.options["reasoning_effort"], short.options["max_tokens"]) == ("gpt5", "low", 200)
    assert short.output_cost_per_token == 3e-6
    assert short.description.endswith("Answers briefly.")
    assert {pair.model for pair in pool.pairs} == {"gpt5-low", "gpt5-short"}


def test_a_variant_of_an_unnamed_litellm_id_is_the_same_model(tmp_path: Path) -> None:
    pool = pool_of(
        tmp_path,
        "models:\n  openai/gpt-4o-mini: {}\n  mini-cool: {base: openai/gpt-4o-mini, options: {temperature: 0}}\n",
    )
    base, cool = pool.models
    assert cool.litellm == "openai/gpt-4o-mini"
    assert cool.input_cost_per_token == base.input_cost_per_token


def test_a_variant_is_made_in_python() -> None:
    base = Model(name="gpt5", litellm="openai/gpt-5", description="Thinks well.", options={"timeout": 30})
    low = base.variant("gpt5-low", reasoning_effort="low", max_tokens=500)
    assert (low.name, low.base, low.litellm) == ("gpt5-low", "gpt5", "openai/gpt-5")
    assert low.options == {"timeout": 30, "reasoning_effort": "low", "max_tokens": 500}
    assert low.variant("lower").base == "gpt5"
    assert Pool(models=(base, low)).pairs


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("a: {base: b}", "'a' is a variant of 'b', which is no model of this pool"),
        ("a: {base: b}\n  b: {base: a}", "variant of itself"),
        ("a: {base: a}", "variant of itself"),
        ("a: {base: [b]}", "no model of this pool"),
        ("a: {}\n  b: {base: a, options: [1]}", "holds parameters by name"),
        ("a: {}\n  b: {base: a, options: {api_key: sk-123}}", "api_key_env"),
    ],
)
def test_a_base_that_can_not_be_is_refused(tmp_path: Path, models: str, message: str) -> None:
    with pytest.raises(PoolError, match=message):
        pool_of(tmp_path, f"models:\n  {models}\n")
