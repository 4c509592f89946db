"""Independent units on two machines give what they give here, in order, whatever happens to a machine."""

from __future__ import annotations

import importlib
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import working

from langchain_atlas.encoders import base
from langchain_atlas.engines import LocalEngine, using_engine
from langchain_atlas.engines.ray import RayEngine
from langchain_atlas.errors import ExecutionError, OutcomeError, SettingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_atlas.engines.ray import RayEngine

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")]


def test_results_come_in_order_from_both_machines(engine: RayEngine) -> None:
    told: list[int] = []
    found = engine.map(working.where, 0.3, list(range(8)), told.append)
    assert [unit for unit, _ in found] == list(range(8))
    assert sorted(told) == list(range(8))
    assert len({process for _, process in found}) == 2
    assert engine.map(working.times, 3, []) == []


@pytest.mark.parametrize("work", [working.fail_at, working.fail_oddly])
def test_a_unit_that_raises_raises_the_same_as_here(work: Callable[..., Any], engine: RayEngine) -> None:
    with pytest.raises((OutcomeError, working.BadNumberError)) as here:
        LocalEngine().map(work, 2, [2])
    with pytest.raises((OutcomeError, working.BadNumberError, ExecutionError)) as there:
        engine.map(work, 2, [2])
    assert type(there.value) is type(here.value)
    assert str(there.value) == str(here.value)
    assert engine.map(working.times, 3, [1, 2]) == [3, 6], "the engine goes on working"


def test_arrays_may_be_written_to_as_here(engine: RayEngine) -> None:
    assert engine.map(working.write_into, np.arange(3.0), [0, 1, 2]) == [0.0, 1.0, 2.0]


def test_what_cannot_be_sent_is_named(engine: RayEngine) -> None:
    with pytest.raises(SettingError, match="can't be sent to the machines"):
        engine.map(working.times, (number for number in [1]), [1])  # type: ignore[arg-type]


def test_a_function_that_the_machines_lack_is_told_as_such(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def twice(shared, unit):\n    return 2 * unit\n")
    monkeypatch.syspath_prepend(tmp_path)
    twice = importlib.import_module("only_here").twice
    with pytest.raises(ExecutionError, match=r"can't read what was sent to it: ModuleNotFoundError.*only_here"):
        engine.map(twice, None, [1, 2])


def test_locks_travel_as_new_ones(engine: RayEngine) -> None:
    held = threading.Lock()
    with held:
        assert engine.map(not_locked, {"lock": held, "other": threading.RLock()}, [1]) == [True]


def not_locked(shared: dict[str, Any], unit: int) -> bool:
    return bool(shared["lock"].acquire(blocking=False)) and bool(shared["other"].acquire(blocking=False))


def test_nothing_is_left_running_after_an_error(engine: RayEngine, tmp_path: Path) -> None:
    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.map(begin, str(tmp_path), [0, 1, 2], stop)
    began = {path.name for path in tmp_path.glob("began-*")}
    time.sleep(4)
    assert not [*tmp_path.glob("ended-*")]
    assert {path.name for path in tmp_path.glob("began-*")} <= began | {"began-1", "began-2"}
    assert engine.map(working.times, 3, [1]) == [3], "the processors are free again"


def begin(folder: str, unit: int) -> int:
    return unit if not unit else working.leave_marks(folder, unit)


def test_a_machine_may_go_in_the_middle(engine: RayEngine, lose_machine: Callable[[], None]) -> None:
    done: list[int] = []

    def lose(unit: int) -> None:
        done.append(unit)
        if len(done) == 3:
            lose_machine()

    found = engine.map(working.where, 0.5, list(range(10)), lose)
    assert sorted(done) == list(range(10))
    assert [unit for unit, _ in found] == list(range(10))


def test_many_texts_are_encoded_on_the_machines(engine: RayEngine) -> None:
    texts = [f"text number {number}" for number in range(2 * base._PART + 7)]
    encoder = working.LengthEncoder("length", cache_size=10)
    before = working.LengthEncoder.encoded
    there = encoder.encode(texts)
    assert working.LengthEncoder.encoded == before, "none was encoded here"
    with using_engine(LocalEngine()):
        here = working.LengthEncoder("length").encode(texts)
    np.testing.assert_array_equal(there, here)
    assert encoder.encode(["a few"]).shape == (1, 3)
    assert working.LengthEncoder.encoded == before + len(texts) + 1
