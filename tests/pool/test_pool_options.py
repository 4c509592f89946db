"""Options of single pairs, kept by the pool."""

import json
from typing import Any

import pytest

from langchain_atlas.errors import PoolError
from langchain_atlas.pool.pool import NO_TOOL, Model, Pair, Pool, Tool

CALCULATOR = Tool(name="calculator", use="calculator")
PYTHON = Tool(name="python", use="python")


def pool_of(*models: str, **more: Any) -> Pool:
    return Pool(models=tuple(Model(name=name) for name in models), tools=(NO_TOOL, CALCULATOR), **more)


OPTIONS: dict[Pair, dict[str, Any]] = {Pair("a"): {"temperature": 0.2}, Pair("b", "calculator"): {"max_tokens": 9}}


def test_options_are_kept_by_a_larger_pool() -> None:
    pool = pool_of("a", "b", pair_options=OPTIONS)
    assert pool.extend(models=[Model(name="c")], tools=[PYTHON]).pair_options == OPTIONS


def test_options_are_kept_by_a_smaller_pool_for_the_pairs_it_has() -> None:
    pool = pool_of("a", "b", pair_options=OPTIONS)
    assert pool.restrict(["a", "b@@none"]).pair_options == {Pair("a"): {"temperature": 0.2}}


def test_options_survive_being_written_and_read() -> None:
    pool = pool_of("a", "b", pair_options=OPTIONS)
    assert Pool.from_json(json.loads(json.dumps(pool.to_json()))) == pool


def test_options_change_the_fingerprint() -> None:
    pools = [
        pool_of("a", "b"),
        pool_of("a", "b", pair_options=OPTIONS),
        pool_of("a", "b", pair_options={Pair("a"): {"temperature": 0.3}}),
    ]
    assert len({pool.fingerprint for pool in pools}) == 3
    assert pool_of("a", pair_options={Pair("a"): {}}).fingerprint == pool_of("a").fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({Pair("z"): {}}, "Unknown model 'z'"),
        ({Pair("a", "abacus"): {}}, "Unknown tool 'abacus'"),
        ({Pair("a"): {"extra": {"api_key": "sk-1"}}}, "'api_key' would put a secret into the pool"),
        ({Pair("a"): 3}, "pair_options"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, message: str) -> None:
    with pytest.raises(PoolError, match=message):
        pool_of("a", pair_options=options)
