"""Where long work is done: what the options refuse, and that nothing of a cluster is touched without being asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from working import fail_at, times

from langchain_atlas.engines import LocalEngine, current_engine, using_engine
from langchain_atlas.engines.ray import RayEngine
from langchain_atlas.engines.units import Done, Failed, carried_out, result
from langchain_atlas.errors import MissingExtraError, OutcomeError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

WATCHED = """
import json, sys
from langchain_atlas.cli import main
import langchain_atlas, langchain_atlas.engines.ray, langchain_atlas.evaluation.profiling.profile
try:
    main()
except SystemExit as left:
    print()
    print(json.dumps({"status": left.code, "ray": "ray" in sys.modules}))
"""
HIDDEN = "import sys; sys.modules['ray'] = None\n" + WATCHED


def command(code: str, *arguments: str, cwd: Path | None = None) -> tuple[dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120, cwd=cwd
    )
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def table(folder: Path) -> Path:
    path = folder / "table.jsonl"
    rows = [
        {"query_id": f"q{n}", "query": f"What is {n}?", "model": model, "tool": "none", "score": n % 2}
        for n in range(4)
        for model in ("a", "b")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_this_process_does_the_work_unless_told_otherwise() -> None:
    assert current_engine().is_local
    told: list[int] = []
    assert LocalEngine().map(times, 3, [1, 2, 3], told.append) == [3, 6, 9]
    assert told == [1, 2, 3]


def test_an_engine_is_used_in_its_block_and_closed_after_it() -> None:
    class Counted(LocalEngine):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    engine = Counted()
    with pytest.raises(OutcomeError), using_engine(engine):
        assert current_engine() is engine
        raise OutcomeError("anything")
    assert current_engine() is not engine
    assert engine.closed == 1


def test_what_came_of_a_unit_travels_as_it_is_and_so_does_its_error() -> None:
    assert result(carried_out(times, 2, 3, travels=id)) == 6
    with pytest.raises(OutcomeError, match="unit 3 is bad"):
        result(carried_out(fail_at, 3, 3, travels=id))
    missing = carried_out(refuse, travels=id)
    assert isinstance(missing, Failed)
    assert str(missing.error()) == str(MissingExtraError("Drawing", "report"))
    assert isinstance(carried_out(fine, travels=id), Done)


def refuse() -> None:
    raise MissingExtraError("Drawing", "report")


def fine() -> int:
    return 1


def test_commands_without_the_option_import_no_ray(tmp_path: Path) -> None:
    told, errors = command(WATCHED, "evaluate", "--data", str(table(tmp_path)), "--router", str(tmp_path / "none"))
    assert told == {"status": 2, "ray": False}, errors
    told, errors = command(WATCHED, "profile", "--help")
    assert told == {"status": 0, "ray": False}, errors


def test_a_missing_extra_is_named_with_its_command(tmp_path: Path) -> None:
    told, errors = command(HIDDEN, "fit", "--data", str(table(tmp_path)), "--out", "router", "--engine", "ray")
    assert told["status"] == 1
    assert "The engine 'ray' needs packages that are not installed" in errors
    assert "pip install 'langchain-atlas[ray]'" in errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--engine", "rey"], "--engine is 'rey'. Did you mean 'ray'? Valid: 'local', 'ray'."),
        (["--ray-address", "auto"], "--ray-address is 'auto', but --engine is 'local'. Add --engine ray."),
    ],
)
def test_options_that_mean_nothing_are_refused_before_any_work(options: list[str], words: str, tmp_path: Path) -> None:
    told, errors = command(WATCHED, "fit", "--data", str(table(tmp_path)), "--out", str(tmp_path / "r"), *options)
    assert told == {"status": 2, "ray": False}
    assert words in " ".join(errors.split())


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1", "head:", "head:port", ":6379", "head:0"])
def test_an_address_that_cannot_be_read_is_refused_with_what_is_valid(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(SettingError, match="HOST:PORT") as raised:
        RayEngine(address)
    assert repr(address) in str(raised.value)


def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    pytest.importorskip("ray")
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(SettingError, match="No Ray cluster can be used") as raised:
        RayEngine(address)
    assert address in str(raised.value)
    assert "ray start --head" in str(raised.value)
