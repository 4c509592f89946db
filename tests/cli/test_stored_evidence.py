"""Routers are judged on what a store holds, and a judge marks a sample of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from one_pair_logs import two_poets
from test_score import pool  # noqa: F401  # a fixture

from langchain_atlas import Store
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.drift.answers import RULE
from langchain_atlas.evaluation.logged.stored import stored_log
from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.evaluation.scoring.judging.judge import Judge
from langchain_atlas.evaluation.scoring.stored import sampled, score_store
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.pool.pool import Model
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.testing import FakeEncoder, OpenAIServer
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.conftest import Command

ADA, BYRON = Pair("ada"), Pair("byron")


def kept(store: Store, number: int, pair: Pair, text: str, **fields: Any) -> str:
    """Store a decision with its outcome; return its id."""
    score, turn = fields.pop("score", None), fields.pop("trajectory", START)
    answer = fields.pop("answer", "yes")
    decision = Decision(kind="route", pair=pair, id=f"call-{number}", **fields)
    store.keep(Query(text=text), turn, decision)
    store.keep(Query(text=text), turn, decision, Observation(pair=pair, answer=answer, cost_usd=0.001))
    if score is not None:
        store.record(f"call-{number}", score=score)
    return f"call-{number}"


class Kind(Router):
    """Sends maths to one pair and poems to the other."""

    takes_first_answer = True

    def __init__(self, maths: Pair, poems: Pair) -> None:
        self._maths, self._poems = maths, poems

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (ADA, BYRON)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        if trajectory.steps:
            return last_answer(trajectory, rule="once", reason="")
        is_maths = any(sign in query.text for sign in ("plus", "times", "equation", "Divide"))
        return Decision(kind="route", pair=self._maths if is_maths else self._poems)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/atlas.db")
    yield opened
    opened.close()


class TestRoutersOnAStore:
    def test_are_estimated_by_the_propensities_in_it(self, store: Store) -> None:
        for number, row in enumerate(two_poets(3, first=0.7, noted=True).table.to_pylist()):
            kept(store, number, Pair(row["model"]), row["query"], score=row["score"], propensity=row["propensity"])
        store.flush()
        found = evaluate({"right": Kind(ADA, BYRON), "wrong": Kind(BYRON, ADA)}, stored_log(store))
        right, wrong = found.routers["right"], found.routers["wrong"]
        assert right.accuracy == pytest.approx(0.95, abs=0.05)
        assert wrong.accuracy == pytest.approx(0.05, abs=0.05)
        facts = found.to_json()
        assert (facts["method"], facts["propensities"]) == ("doubly robust", "recorded")
        assert 100 < facts["routers"]["right"]["effective_sample_size"] < 600

    def test_are_refused_where_the_live_router_never_drew(self, store: Store) -> None:
        live = Kind(ADA, BYRON)
        for number, row in enumerate(two_poets(3).table.to_pylist()):
            pair = live.decide(Query(text=row["query"])).pair
            assert pair is not None
            kept(store, number, pair, row["query"], score=1.0, propensity=1.0)
        store.flush()
        table = stored_log(store)
        found = evaluate({"itself": live}, table)
        assert found.routers["itself"].accuracy > 0.97
        assert any("chose without drawing (propensity 1)" in note for note in found.notes)
        with pytest.raises(OutcomeError, match=r"on 600 of 600 queries .* never have chosen there .*ExploringRouter"):
            evaluate({"other": Kind(BYRON, ADA)}, table)

    def test_count_first_decisions_alone_and_no_canary_questions(self, store: Store) -> None:
        kept(store, 0, ADA, "one", score=1.0)
        failed = Observation(pair=ADA, error="Timeout: late")
        later = START.then(Decision(kind="route", pair=ADA), failed)
        kept(store, 1, BYRON, "one", score=0.0, trajectory=later)
        kept(store, 2, BYRON, "two", score=0.0, rule=RULE)
        kept(store, 3, ADA, "one", score=0.0)
        kept(store, 4, ADA, "three")
        store.flush()
        table = stored_log(store)
        assert [query.text for query in table.queries] == ["one", "one"], "each decision by itself"

    def test_need_scores(self, store: Store) -> None:
        kept(store, 0, ADA, "one")
        store.flush()
        with pytest.raises(OutcomeError, match=r"holds no decision with a score.*score URL --judge MODEL"):
            stored_log(store)

    def test_by_the_command(self, command: Command, store: Store, tmp_path: Path, fake_encoder: None) -> None:
        del fake_encoder
        log = two_poets(3, noted=True)
        for number, row in enumerate(log.table.to_pylist()):
            kept(store, number, Pair(row["model"]), row["query"], score=row["score"], propensity=0.5)
        store.close()
        ClusterRouter(FakeEncoder(), cost_weight=0.0).fit(log).save(tmp_path / "router")
        url, out = f"sqlite:///{tmp_path}/atlas.db", tmp_path / "figures.json"
        done = command("evaluate", "--data", url, "--router", tmp_path / "router", "--json", out)
        assert done.status == 0, done.error
        assert "Estimating from 600 outcomes" in done.out
        assert "of the 600 queries would, had it answered them itself" in " ".join(done.out.split())
        assert json.loads(out.read_text())["estimated"] is True


class TestJudgeOnASample:
    @pytest.fixture
    def answered(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setenv("KEY_OF_THE_TEST", "not-a-secret")
        monkeypatch.setenv("DISABLE_AIOHTTP_TRANSPORT", "True")
        for number in range(200):
            right = number % 2
            kept(
                store, number, ADA if right else BYRON, f"question {number}", answer=f"it {'is right' * right} {number}"
            )
        kept(store, 900, ADA, "a canary question", rule=RULE)
        kept(store, 901, ADA, "question 901", answer="it is right", score=0.25)
        store.flush()
        return store

    def judge(self, server: OpenAIServer, **given: Any) -> Judge:
        options = {"api_base": server.url}
        prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, "api_key_env": "KEY_OF_THE_TEST"}
        return Judge(
            Model(name="umpire", litellm="openai/umpire", options=options, **prices),
            **given,
        )

    def test_records_its_marks_and_goes_on_with_a_larger_sample(self, answered: Store) -> None:
        with OpenAIServer(_marks) as server:
            judge = self.judge(server)
            plans: list[Any] = []
            report = score_store(answered, judge=judge, sample=0.2, on_plan=plans.append)
            first = report.marked_now
            assert 20 < first < 60
            assert plans[0].calls == first == len(server.requests)
            assert plans[0].cost_usd > 0, "the cost is said first"
            assert score_store(answered, judge=judge, sample=0.2).marked_now == 0
            second = score_store(answered, judge=judge, sample=0.5).marked_now
            assert len(server.requests) == first + second
            assert 70 < first + second < 130
        table = answered.table()
        means = {summary.pair: summary for summary in answered.summary()}
        assert means[BYRON].mean_score == 0
        assert means[BYRON].scored + means[ADA].scored == first + second + 1
        marked = {row["score_source"] for row in table.table.to_pylist() if row["score"] is not None}
        assert marked == {"judge:umpire", "feedback"}
        given = [row["score"] for row in table.table.to_pylist() if row["query"] == "question 901"]
        assert given == [0.25], "a score that is there stays"

    def test_never_sees_canary_questions(self, answered: Store) -> None:
        assert "a canary question" not in {query.text for query in sampled(answered, 1.0).queries}

    def test_stops_at_its_dollars(self, answered: Store) -> None:
        with OpenAIServer(_marks) as server:
            report = score_store(answered, judge=self.judge(server, max_cost_usd=0.002, concurrency=1), sample=1.0)
            assert 0 < len(server.requests) < 50
        assert report.judge is not None
        assert report.judge.stopped
        assert sum(one.scored for one in answered.summary()) == report.marked_now + 1, "what was marked is recorded"

    @pytest.mark.parametrize("share", [0, -0.1, 1.5, True])
    def test_sample_must_be_a_share(self, answered: Store, share: Any) -> None:
        with pytest.raises(SettingError, match="it must be a share of the decisions, above 0 and up to 1"):
            sampled(answered, share)

    def test_by_the_command(self, command: Command, answered: Store, pool: Path, tmp_path: Path) -> None:  # noqa: F811
        answered.close()
        url, cache = f"sqlite:///{tmp_path}/atlas.db", tmp_path / "replies.jsonl"
        asked = ("score", url, "--judge", "umpire", "--pool", pool, "--sample", 0.3, "--max-cost", 1, "--cache", cache)
        planned = command(*asked, "--plan")
        assert planned.status == 0, planned.error
        assert "The judge makes" in planned.out
        assert "for about $" in planned.out
        assert sum(one.scored for one in answered.summary()) == 1, "nothing was called"
        done = command(*asked)
        assert done.status == 0, done.error
        said = " ".join(done.out.split())
        assert "answers, a sample of 30%;" in said
        assert "scores were recorded in Store('sqlite" in said
        assert sum(one.scored for one in answered.summary()) > 40

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (["sqlite:///nowhere.db", "--judge", "m"], "There is no store"),
            (["t.parquet", "--judge", "m"], "Give --out T2.parquet"),
            (["t.parquet", "--out", "t2.parquet", "--sample", "0.5"], "only a store is sampled"),
        ],
    )
    def test_mistakes_are_told(self, command: Command, given: list[str], said: str) -> None:
        done = command("score", *given)
        assert done.status == 2
        assert said in " ".join(done.error.split())


def _marks(body: dict[str, Any]) -> str:
    return json.dumps({"A": int("is right" in body["messages"][-1]["content"]), "sure": 0.8})
