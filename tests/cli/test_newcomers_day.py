"""What a newcomer meets on the command line: slips that are told before the work, and a terminal of 80 columns."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import pytest
from recorded import kinds_of_query

from langchain_atlas import demo
from langchain_atlas.cli import main
from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.doctor.pool_check import check_pool
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pool import Model, Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Command


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Run a command on a terminal of 80 columns, and return the lines that it prints."""

    def run(*arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["langchain-atlas", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit):
            main()
            sys.exit(0)
        return capsys.readouterr().out.splitlines()

    return run


class TestBeforeTheWork:
    """What can be told at once is told at once."""

    @pytest.mark.parametrize("command_name", ["fit", "train"])
    @pytest.mark.parametrize(
        ("out", "told"),
        [
            ("/proc/router", "Can't write '/proc/router'"),
            ("{folder}/router?alpha=0.1", "settings follow a router where it is read"),
            ("{folder}/" + "n" * 300, "Can't write"),
        ],
    )
    def test_a_place_is_tried(self, command: Command, tmp_path: Path, command_name: str, out: str, told: str) -> None:
        done = command(command_name, "--data", "nowhere.parquet", "--out", out.format(folder=tmp_path))
        assert done.status == 2
        assert told in done.error
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("out", ["/proc/t.parquet", "/proc/a/b/t.parquet"])
    def test_a_table_s_place_is_tried(self, command: Command, out: str) -> None:
        done = command("profile", "--pool", "nowhere.yaml", "--queries", "nowhere.jsonl", "--out", out)
        assert done.status == 2
        assert f"Can't write '{out}'" in done.error

    @pytest.mark.parametrize("name", ["evaluate", "report", "route"])
    @pytest.mark.parametrize(
        ("settings", "told"),
        [("alpha=x", "alpha is 'x'"), ("budget=cheap", "budget is 'cheap'"), ("alpha", "'alpha' in")],
    )
    def test_settings_of_a_router_are_read(
        self, command: Command, tmp_path: Path, name: str, settings: str, told: str
    ) -> None:
        router = f"{tmp_path / 'router'}?{settings}"
        rest = {"route": ["hello"], "report": ["--data", "no.parquet", "--out", tmp_path / "r.html"]}
        done = command(name, *rest.get(name, ["--data", "no.parquet"]), "--router", router)
        assert done.status == 2
        assert told in done.error

    def test_questions_given_for_outcomes_are_called_so(self, command: Command, tmp_path: Path) -> None:
        for name, rest in (("fit", ["--out", tmp_path / "r"]), ("train", ["--out", tmp_path / "r"]), ("doctor", [])):
            done = command(name, "--data", demo.QUERIES, *rest)
            assert done.status == 2
            assert "holds questions, and no outcomes" in done.error
            assert "langchain-atlas profile" in done.error

    def test_a_router_given_for_outcomes_is_called_so(self, command: Command, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        done = command("fit", "--data", tmp_path, "--out", tmp_path / "r")
        assert "is a saved router" in done.error

    @pytest.mark.parametrize("name", ["fit", "train", "doctor"])
    def test_an_encoder_that_is_not_there(self, command: Command, data: str, tmp_path: Path, name: str) -> None:
        rest = [] if name == "doctor" else ["--out", tmp_path / "router"]
        start = time.perf_counter()
        done = command(name, "--data", data, "--encoder", "no-such-model", *rest)
        assert done.status == 2
        assert "Can't load the encoder 'no-such-model'" in done.error
        assert time.perf_counter() - start < 10

    def test_an_encoder_of_a_folder_that_is_not_there(self) -> None:
        with pytest.raises(SettingError, match="the folder does not exist"):
            SentenceTransformerEncoder("./no/such/folder").find()


class TestDoctor:
    @pytest.mark.parametrize(
        ("litellm", "told"),
        [
            ("opnai/gpt-4o", "no provider 'opnai'.*Did you mean 'openai'"),
            ("OpenAI/gpt-4o", "Did you mean 'openai'"),
            ("antropic/claude-sonnet-4-5", "Did you mean 'anthropic'"),
            ("my-model", "write its provider before it"),
        ],
    )
    def test_notices_unknown_providers_without_a_call(self, litellm: str, told: str) -> None:
        (model,) = check_pool(Pool(models=[Model(name="m", litellm=litellm)]), calls=False).models
        assert model.error is not None
        with pytest.raises(AssertionError, match=told):
            raise AssertionError(model.error)

    @pytest.mark.parametrize("litellm", ["openai/anything", "hosted_vllm/own", "bedrock/some.model-v1:0", "ollama/a"])
    def test_takes_any_model_of_a_known_provider(self, litellm: str) -> None:
        (model,) = check_pool(Pool(models=[Model(name="m", litellm=litellm)]), calls=False).models
        assert model.error is None or "environment variable" in model.error

    @pytest.mark.usefixtures("fake_encoder")
    def test_tells_of_repeated_rows(self, command: Command, tmp_path: Path) -> None:
        rows = kinds_of_query().table.to_pylist()
        OutcomeTable.from_rows([*rows, *rows[:3]]).save(tmp_path / "twice.parquet")
        done = command("doctor", "--data", tmp_path / "twice.parquet", "--json", tmp_path / "f.json")
        assert "repeated-outcomes" in done.out
        findings = {one["kind"]: one for one in json.loads((tmp_path / "f.json").read_text())["findings"]}
        assert findings["repeated-outcomes"]["count"] == 3
        assert f"3 of {len(rows) + 3} rows" in findings["repeated-outcomes"]["message"]


class TestOn80Columns:
    """Rows stay whole, and no line is wider."""

    @pytest.mark.usefixtures("fake_encoder")
    def test_rows_of_evaluate_stay_whole(
        self, command: Command, narrow: Callable[..., list[str]], data: str, tmp_path: Path
    ) -> None:
        assert command("fit", "--data", data, "--out", tmp_path / "r", "--router", "knn", "--value", 0.1).status == 0
        lines = narrow("evaluate", "--data", data, "--router", tmp_path / "r")
        assert max(map(len, lines)) <= 80
        (single,) = [line for line in lines if line.startswith("best_single ") and "%" in line]
        assert len(single.split()) == 6
        (oracle,) = [line for line in lines if line.startswith("oracle") and "(" in line]
        assert oracle.rstrip().endswith(")")

    def test_a_long_name_stays_readable_in_doctor(self, narrow: Callable[..., list[str]], tmp_path: Path) -> None:
        name = "a-rather-long-name-of-a-model-instruct-2507"
        (tmp_path / "pool.yaml").write_text(f"models: {{{name}: {{litellm: openai/x}}}}\ntools: {{none: {{}}}}")
        lines = narrow("doctor", "--pool", tmp_path / "pool.yaml", "--no-calls")
        assert max(map(len, lines)) <= 80
        assert "…" not in "".join(lines)
        (heading,) = [line for line in lines if line.strip().startswith("model ")]
        assert "$/M in, out" in heading
