"""The commands from end to end: what they write, what they say, and what they do with bad input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded import kinds_of_query

from langchain_atlas import encoders
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.base import Router
from langchain_atlas.testing import FakeEncoder, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Command

QUERIES = [
    {"id": "q1", "query": "say blue", "answer": "blue", "scorer": "contains"},
    {"id": "q2", "query": "say 4", "answer": 4, "scorer": {"kind": "numeric"}},
]


@pytest.fixture(autouse=True)
def fake_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand the fake encoder in for the one that would load a model."""
    monkeypatch.setattr(encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(name=name))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.parquet"
    kinds_of_query().save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, table: Path, command: Command) -> Path:
    out = tmp_path / "router"
    assert command("fit", "--data", table, "--out", out).status == 0
    return out


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a pool file whose two models are a server on this machine that repeats the last word."""
    monkeypatch.setenv("KEY_OF_THE_TEST", "not-a-secret")
    monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
    with OpenAIServer(lambda body: body["messages"][-1]["content"].split()[-1]) as server:
        entry = f"options: {{api_base: '{server.url}'}}, api_key_env: KEY_OF_THE_TEST"
        prices = "input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6"
        path = tmp_path / "pool.yaml"
        path.write_text(
            "models:\n"
            f"  small: {{litellm: openai/small, {prices}, {entry}}}\n"
            f"  large: {{litellm: openai/large, {entry}}}\n"
            "tools: {none: {}, calculator: {use: calculator}}\n",
            encoding="utf-8",
        )
        yield path


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in QUERIES), encoding="utf-8")
    return path


class TestFit:
    def test_it_saves_a_router_that_loads_and_says_what_it_learned(
        self, command: Command, table: Path, tmp_path: Path
    ) -> None:
        figures = tmp_path / "figures.json"
        done = command("fit", "--data", table, "--out", tmp_path / "r", "--alpha", "0.2", "--json", figures)
        assert done.status == 0
        assert "Saved to" in done.out
        assert Router.load(tmp_path / "r", FakeEncoder(name="all-MiniLM-L6-v2")).settings["cost_weight"] == 0.2
        assert json.loads(figures.read_text())["clusters"][0]["best"]["pair"]

    def test_pairs_and_domains_restrict_what_it_learns_from(
        self, command: Command, table: Path, tmp_path: Path
    ) -> None:
        whole = OutcomeTable.load(table)
        pairs = tmp_path / "pairs.txt"
        pairs.write_text(f"{whole.pairs[0]}\n{whole.pairs[1]}\n", encoding="utf-8")
        domain = whole.domains[0]
        done = command("fit", "--data", table, "--out", tmp_path / "r", "--pairs", pairs, "--domains", domain)
        assert done.status == 0
        router = Router.load(tmp_path / "r", FakeEncoder(name="all-MiniLM-L6-v2"))
        assert set(router.pairs) == set(whole.pairs[:2])
        assert f"{sum(name == domain for name in whole.domains)} queries, 2 pairs" in done.out

    def test_names_in_brackets_are_shown_whole(self, command: Command, tmp_path: Path) -> None:
        renamed = [{**row, "model": f"{row['model']}[q4]"} for row in kinds_of_query().table.to_pylist()]
        OutcomeTable.from_rows(renamed).save(tmp_path / "t.jsonl")
        out = tmp_path / "my router[1]"
        done = command("fit", "--data", tmp_path / "t.jsonl", "--out", out)
        assert "[q4]@@" in done.out
        assert f"--router '{out}'\n" in done.out  # as a shell takes it, on one line
        told = command("route", "hello", "--router", out).out.splitlines()
        assert all("[q4]@@" in line for line in (told[0], told[2]))


class TestRoute:
    def test_it_explains_with_evidence_and_writes_the_decision(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        done = command("route", "numbers sum add two", "--router", folder, "--json", tmp_path / "d.json")
        decision = json.loads((tmp_path / "d.json").read_text())
        assert done.status == 0
        assert decision["kind"] == "route"
        assert decision["pair"] in done.out
        assert "95% interval" in done.out
        assert f"{decision['chosen']['evidence']}" in done.out

    def test_settings_in_the_routers_name_change_the_decision(
        self, command: Command, folder: Path, tmp_path: Path
    ) -> None:
        chosen = []
        for alpha in (0, 1):
            path = tmp_path / f"{alpha}.json"
            command("route", "numbers sum add two", "--router", f"{folder}?alpha={alpha}", "--json", path)
            chosen.append(json.loads(path.read_text())["chosen"])
        assert chosen[1]["expected_cost_usd"] <= chosen[0]["expected_cost_usd"]
        assert chosen[0]["expected_success"] >= chosen[1]["expected_success"]


class TestProfileThenAsk:
    def test_what_is_profiled_can_be_fitted_and_asked(
        self, command: Command, pool: Path, queries: Path, tmp_path: Path
    ) -> None:
        out, router = tmp_path / "mine.parquet", tmp_path / "mine"
        first = command("profile", "--pool", pool, "--queries", queries, "--out", out)
        assert first.status == 0
        assert "2 queries x 4 pairs = 8 outcomes" in first.out
        assert OutcomeTable.load(out).matrix().mean() == 1.0
        again = command("profile", "--pool", pool, "--queries", queries, "--out", out)
        assert "nothing was left to run" in again.out
        assert command("fit", "--data", out, "--out", router).status == 0
        asked = command("ask", "say green", "--router", router, "--pool", pool, "--json", tmp_path / "a.json")
        answer = json.loads((tmp_path / "a.json").read_text())
        assert asked.status == 0
        assert answer["answer"] == "green"
        assert asked.out.rstrip().endswith("green")
        assert answer["calls"] == 1

    def test_when_every_call_fails_it_says_so_and_leaves_with_1(
        self, command: Command, pool: Path, queries: Path, tmp_path: Path
    ) -> None:
        out, router = tmp_path / "mine.parquet", tmp_path / "mine"
        command("profile", "--pool", pool, "--queries", queries, "--out", out)
        command("fit", "--data", out, "--out", router)
        text = pool.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1")  # a port where nobody listens
        pool.write_text(text, encoding="utf-8")
        done = command("ask", "say green", "--router", router, "--pool", pool)
        assert done.status == 1
        assert "No pair returned an answer" in done.error


def changed(table: Path, change: Any) -> Path:
    path = table.with_name("changed.parquet")
    pq.write_table(change(pq.read_table(table)), path)
    return path


BAD_TABLES = {
    "a missing column": (lambda table: table.drop_columns(["cost_usd"]), "no column 'cost_usd'"),
    "a mistyped column": (
        lambda table: table.set_column(table.column_names.index("score"), "score", pa.array(["high"] * table.num_rows)),
        "column 'score' holds 'high'",
    ),
    "a score out of range": (
        lambda table: table.set_column(table.column_names.index("score"), "score", pa.array([1.5] * table.num_rows)),
        "column 'score' is 1.5; it must be from 0 to 1",
    ),
    "an empty table": (lambda table: table.slice(0, 0), "has no rows"),
}


def test_an_interrupt_says_so(command: Command, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("langchain_atlas.routers.cluster.router.ClusterRouter.fit", interrupted)
    done = command("fit", "--data", table, "--out", tmp_path / "r")
    assert (done.status, done.error) == (130, "Stopped.\n")
    assert not (tmp_path / "r").exists()


class TestBadInput:
    """Each is told clearly, with exit status 2, and leaves nothing half-written behind."""

    @pytest.mark.parametrize(("change", "message"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
    def test_bad_tables(self, command: Command, table: Path, tmp_path: Path, change: Any, message: str) -> None:
        bad = changed(table, change)
        before = sorted(tmp_path.iterdir())
        done = command("fit", "--data", bad, "--out", tmp_path / "r")
        assert done.status == 2
        assert message in done.error
        assert str(bad) in done.error
        assert "Traceback" not in done.error
        assert sorted(tmp_path.iterdir()) == before

    @pytest.mark.parametrize("kind", ["cluster", "knn"])
    def test_a_table_without_scores(self, command: Command, tmp_path: Path, kind: str) -> None:
        unscored = [{**row, "score": None} for row in kinds_of_query().table.to_pylist()]
        OutcomeTable.from_rows(unscored).save(tmp_path / "t.jsonl")
        done = command("fit", "--data", tmp_path / "t.jsonl", "--out", tmp_path / "r", "--router", kind)
        assert (done.status, (tmp_path / "r").exists()) == (2, False)
        assert "no outcome with a score; there is nothing to learn from" in done.error

    def test_an_unknown_pair(self, command: Command, table: Path, tmp_path: Path) -> None:
        (tmp_path / "pairs.txt").write_text("nobody@@none\n", encoding="utf-8")
        done = command("fit", "--data", table, "--out", tmp_path / "r", "--pairs", tmp_path / "pairs.txt")
        assert (done.status, not (tmp_path / "r").exists()) == (2, True)
        assert "Unknown pair 'nobody@@none'" in done.error

    @pytest.mark.parametrize("name", ["modles", "descripton"])
    def test_a_typo_in_the_pool(self, command: Command, pool: Path, queries: Path, tmp_path: Path, name: str) -> None:
        right = {"modles": "models", "descripton": "input_cost_per_token"}[name]
        pool.write_text(pool.read_text().replace(right, name), encoding="utf-8")
        done = command("profile", "--pool", pool, "--queries", queries, "--out", tmp_path / "o.parquet")
        assert done.status == 2
        assert f"{name!r}" in done.error
        assert str(pool) in done.error
        assert not list(tmp_path.glob("o.parquet*"))

    def test_another_encoder(self, command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            encoders, "SentenceTransformerEncoder", lambda name, **_: FakeEncoder(dimension=32, name=name)
        )
        done = command("route", "hello", "--router", folder)
        assert done.status == 2
        assert "was fitted with encoder" in done.error

    def test_a_corrupt_artifact(self, command: Command, folder: Path) -> None:
        path = folder / "arrays.safetensors"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
        done = command("route", "hello", "--router", folder)
        assert done.status == 2
        assert "is damaged" in done.error

    def test_queries_that_are_not_jsonl(self, command: Command, pool: Path, tmp_path: Path) -> None:
        (tmp_path / "bad.jsonl").write_text("What is this?\n", encoding="utf-8")
        done = command("profile", "--pool", pool, "--queries", tmp_path / "bad.jsonl", "--out", tmp_path / "o.parquet")
        assert done.status == 2
        assert "line 1" in done.error
        assert not list(tmp_path.glob("o.parquet*"))

    def test_a_folder_of_other_files_is_refused_before_anything_is_fitted(
        self, command: Command, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "langchain_atlas.routers.cluster.router.ClusterRouter.fit", lambda *_: pytest.fail("fitted")
        )
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter.txt").write_text("keep me", encoding="utf-8")
        done = command("fit", "--data", table, "--out", tmp_path / "mine")
        assert done.status == 2
        assert "holds other files ('letter.txt')" in done.error
        assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("fit", "--data", "{table}", "--out", "{out}", "--router", "clustre"), "Unknown router 'clustre'"),
            (("fit", "--data", "{table}", "--out", "{out}", "--alpha", "2"), "alpha is 2.0"),
            (("fit", "--data", "{table}", "--out", "{out}", "--clusters", "0"), "n_clusters is 0"),
            (("fit", "--data", "{table}", "--out", "{out}", "--domains", "astrology"), "Unknown domain 'astrology'"),
            (("fit", "--data", "nowhere.parquet", "--out", "{out}"), "There is no file 'nowhere.parquet'"),
            (("fit", "--data", "{mislaid}", "--out", "{out}"), "is a folder; an outcome table is a file"),
            (("fit", "--data", "{table}", "--out", "{table}/r"), "is a file, not a folder"),
            (("fit", "--data", "{table}", "--out", "{out}", "--json", "{folder}"), "is a folder; name a file"),
            (("train", "--data", "{table}", "--out", "{out}", "--curves", "{table}"), "is a file; name a folder"),
            (("train", "--data", "{table}", "--out", "{out}", "--checkpoints", "{table}"), "is a file; name a folder"),
            (("route", "hello", "--router", "{folder}", "--json", "{table}/f.json"), "is a file, not a folder"),
            (("route", "hello", "--router", "{out}"), "is not a folder"),
            (("route", "hello", "--router", "{folder}?alfa=1"), "no setting 'alfa'"),
            (("route", "  ", "--router", "{folder}"), "The query is empty"),
        ],
    )
    def test_bad_arguments(
        self, command: Command, table: Path, folder: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        out, mislaid = tmp_path / "new", tmp_path / "folder.parquet"
        mislaid.mkdir()
        filled = [part.format(table=table, out=out, folder=folder, mislaid=mislaid) for part in arguments]
        done = command(*filled)
        assert done.status == 2
        assert message in done.error
        assert not out.exists()


class TestProfile:
    @pytest.mark.usefixtures("fake_encoder")
    def test_it_says_before_what_it_takes_and_stops_at_a_limit(
        self, command: Command, pool: Path, queries: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "table.parquet"
        planned = command("profile", "--pool", pool, "--queries", queries, "--out", out, "--plan")
        assert planned.status == 0
        assert "runs are left: about" in planned.out
        assert not out.exists()
        figures = tmp_path / "figures.json"
        limit = ("--max-cost", "0.000000001", "--concurrency", "1", "--json", figures)
        done = command("profile", "--pool", pool, "--queries", queries, "--out", out, *limit)
        assert done.status == 0
        assert "Stopped: the limit of $1e-09 is reached. 1 of " in done.out
        assert "The same command goes on from there." in done.out
        assert json.loads(figures.read_text(encoding="utf-8"))["run_now"] == 1
