"""A check of a pool tells what its models and tools really do, against a provider on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from provider import reach, serve

from langchain_atlas import NO_TOOL, Model, Pair, Pool, Tool
from langchain_atlas.errors import SettingError
from langchain_atlas.evaluation.doctor.pool_check import PoolCheck, check_pool, estimate
from langchain_atlas.evaluation.doctor.pool_probes import short_error
from langchain_atlas.testing import HANG, Failure, call_tool

if TYPE_CHECKING:
    from fixture_types import Reach, Serve


__all__ = ["reach", "serve"]

CALL = {"tool_calls": [call_tool("report", {"state": "ready"})]}
CALCULATOR = Tool(name="calculator", use="calculator")


def able(body: dict[str, Any]) -> Any:
    """Answer like a model that can do everything."""
    if body.get("tools"):
        return CALL
    return '{"state": "busy"}' if body.get("response_format") else "ready"


def only_when_forced(body: dict[str, Any]) -> Any:
    return "I am ready." if body.get("tools") and body["tool_choice"] != "required" else able(body)


def talker(_: dict[str, Any]) -> str:
    return "I am ready, and so are you."


def refuser(body: dict[str, Any]) -> Any:
    refused = body.get("tools") or body.get("response_format")
    return Failure(400, "no such parameter") if refused else "ready"


def kinds(check: PoolCheck) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in check.findings}


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def fail(reason: str) -> str:
    """Fail."""
    raise ValueError(reason)


class TestModel:
    @pytest.mark.parametrize(
        ("reply", "functions", "schema", "calls"),
        [
            (able, "yes", True, 3),
            (only_when_forced, "forced", True, 4),
            (talker, "no", False, 4),
            (refuser, "no", False, 3),
        ],
    )
    def test_is_seen_doing_what_it_can(
        self, serve: Serve, reach: Reach, reply: Any, functions: str, schema: bool, calls: int
    ) -> None:
        server = serve(reply)
        (seen,) = check_pool(Pool(models=(reach(server),))).models
        assert (seen.answers, seen.error) == (True, None)
        assert (seen.function_calling, seen.structured_output) == (functions, schema)
        assert seen.calls == len(server.bodies) == calls
        assert seen.latency_s is not None
        assert all(body["max_tokens"] <= 64 for body in server.bodies), "no call may become dear"

    def test_that_fails_passingly_leaves_open_what_it_can(self, serve: Serve, reach: Reach) -> None:
        server = serve(
            lambda body: Failure(503, "overloaded", {"retry-after": "0"}) if body.get("tools") else able(body)
        )
        (seen,) = check_pool(Pool(models=(reach(server),))).models
        assert (seen.answers, seen.function_calling, seen.structured_output) == (True, None, True)
        assert "overloaded" in seen.notes[0]

    def test_costs_what_its_calls_cost(self, serve: Serve, reach: Reach) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        server = serve(lambda body: {**(CALL if body.get("tools") else {"content": able(body)}), "usage": usage})
        model = reach(server, input_cost_per_token=1e-6, output_cost_per_token=5e-6)
        (seen,) = check_pool(Pool(models=(model,))).models
        assert seen.cost_usd == pytest.approx(3 * (10e-6 + 2 * 5e-6))
        assert estimate(Pool(models=(model,))).cost_usd > seen.cost_usd

    def test_that_refuses_the_key_is_wrong_and_the_key_is_not_shown(
        self, serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTHER_API_KEY", "hush-hush")
        server = serve(Failure(401, "Incorrect key sk-abcdef123456, or hush-hush, or Bearer xyz.123"))
        check = check_pool(Pool(models=(reach(server),)))
        assert not check.fine
        assert kinds(check)["model-fails"] == "wrong"
        text = check.model_dump_json()
        assert "AuthenticationError" in text
        assert not any(secret in text for secret in ("abcdef", "hush", "xyz"))

    def test_keeps_a_key_to_itself_whatever_its_variable_is_called(
        self, serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OUR_ACCESS", "open-sesame")
        server = serve(Failure(401, "Who is open-sesame?"))
        check = check_pool(Pool(models=(reach(server, api_key_env="OUR_ACCESS"),)))
        assert "Who is ***?" in str(check.models[0].error)
        assert "sesame" not in check.model_dump_json()

    def test_that_never_answers_is_given_up(self, serve: Serve, reach: Reach) -> None:
        start = time.perf_counter()
        check = check_pool(Pool(models=(reach(serve(HANG)),)), timeout_s=0.3)
        assert str(check.models[0].error).startswith("Timeout: ")
        assert time.perf_counter() - start < 20

    def test_without_its_key_is_not_called(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ATLAS_NO_KEY", raising=False)
        (seen,) = check_pool(Pool(models=(Model(name="small", api_key_env="ATLAS_NO_KEY"),))).models
        assert (seen.answers, seen.calls) == (False, 0)
        assert "'ATLAS_NO_KEY', which is not set" in str(seen.error)


class TestTool:
    def test_of_ours_is_called(self, serve: Serve, reach: Reach) -> None:
        pool = Pool(models=(reach(serve(able)),), tools=(NO_TOOL, CALCULATOR, Tool(name="python", use="python")))
        none, calculator, python = check_pool(pool).tools
        assert (none.works, none.called) == (True, ())
        assert (calculator.works, calculator.called) == (True, ("calculator",))
        assert (python.works, python.latency_s is not None) == (True, True)

    def test_that_nobody_meant_to_call_needs_no_check(self) -> None:
        pool = Pool(models=(Model(name="small", options={"api_base": "http://127.0.0.1:9"}),), tools=(CALCULATOR,))
        assert "not-called" not in kinds(check_pool(pool, calls=False))

    def test_of_anybody_else_is_called_only_as_the_pool_says(self, serve: Serve, reach: Reach) -> None:
        ran = []

        def delete(path: str) -> str:
            """Delete a file."""
            ran.append(path)
            return "done"

        tools = (
            Tool.of([delete, double], name="careless"),
            Tool.of([delete, double], name="checked", check={"double": {"number": 2}}),
        )
        check = check_pool(Pool(models=(reach(serve(able)),), tools=tools))
        careless, checked = check.tools
        assert ran == []
        assert (careless.works, careless.offers) == (None, ("delete", "double"))
        assert (checked.works, checked.called) == (True, ("double",))
        assert check.fine
        assert [finding.where for finding in check.findings if finding.kind == "not-called"] == [("careless",)]

    @pytest.mark.parametrize(
        ("tool", "error"),
        [
            (Tool.of(fail, check={"fail": {"reason": "no ink"}}), "fail: ValueError: no ink"),
            (Tool.of(fail, check={"fial": {}}), "Did you mean 'fail'"),
            (Tool.from_mcp("gone", command="no-such-program"), "no-such-program"),
            (Tool(name="odd", use="no.such.module:tool"), "can't import 'no.such.module'"),
            (Tool(name="odd", use="calculator", settings={"max_rnds": 3}), "max_rnds"),
        ],
    )
    def test_that_does_not_work_says_why(self, serve: Serve, reach: Reach, tool: Tool, error: str) -> None:
        check = check_pool(Pool(models=(reach(serve(able)),), tools=(NO_TOOL, tool)))
        assert error in str(check.tools[1].error)
        assert kinds(check)["tool-fails"] == "wrong"
        assert [(str(pair.pair), pair.works) for pair in check.pairs] == [
            ("small@@none", True),
            (f"small@@{tool.name}", False),
        ]

    def test_that_hangs_is_given_up(self, serve: Serve, reach: Reach) -> None:
        def sleep(seconds: float) -> str:
            """Sleep."""
            time.sleep(seconds)
            return "awake"

        tool = Tool.of(sleep, check={"sleep": {"seconds": 5}})
        check = check_pool(Pool(models=(reach(serve(able)),), tools=(tool,)), timeout_s=0.5)
        assert "no answer within 0.5 s" in str(check.tools[0].error)


class TestPairs:
    def test_are_judged_by_what_was_seen(self, serve: Serve, reach: Reach) -> None:
        models = (
            reach(serve(able), "able"),
            reach(serve(only_when_forced), "forced"),
            reach(serve(talker), "talker"),
            reach(serve(Failure(401)), "broken"),
            reach(serve(able), "modest", function_calling=False),
        )
        forcing = Tool(name="forcing", use="calculator", settings={"tool_choice": "required"})
        prompted = Tool(name="prompted", use="calculator", invocation="prompted")
        check = check_pool(
            Pool(models=models, tools=(CALCULATOR, forcing, prompted), excluded=frozenset({Pair("able", "forcing")}))
        )
        works = {str(pair.pair): pair.works for pair in check.pairs}
        assert works == {
            "able@@calculator": True,
            "able@@prompted": True,
            "forced@@calculator": False,
            "forced@@forcing": True,
            "forced@@prompted": True,
            "talker@@calculator": False,
            "talker@@forcing": False,
            "talker@@prompted": True,
            "broken@@calculator": False,
            "broken@@forcing": False,
            "broken@@prompted": False,
            "modest@@calculator": False,
            "modest@@forcing": False,
            "modest@@prompted": True,
        }
        found = kinds(check)
        assert found["no-function-calling"] == "wrong"
        assert found["function-calling"] == "note", "the pool says that it can't, and it can"


class TestPool:
    def test_in_which_all_is_well_is_fine(self, serve: Serve, reach: Reach) -> None:
        model = reach(serve(able), input_cost_per_token=0, output_cost_per_token=0, structured_output=True)
        check = check_pool(Pool(models=(model,), tools=(NO_TOOL, CALCULATOR)))
        assert check.fine
        assert check.findings == ()

    def test_of_unknown_prices_lacks_something(self, serve: Serve, reach: Reach) -> None:
        check = check_pool(Pool(models=(reach(serve(able)),)))
        assert kinds(check)["unknown-prices"] == "missing"
        assert check.fine

    def test_is_told_when_it_says_too_much(self, serve: Serve, reach: Reach) -> None:
        check = check_pool(Pool(models=(reach(serve(talker), structured_output=True, function_calling=True),)))
        assert kinds(check)["no-structured-output"] == "wrong"
        assert kinds(check)["no-function-calling"] == "note", "no tool of this pool needs it"

    def test_can_be_looked_at_without_a_call(self, serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        server = serve(able)
        tools = (CALCULATOR, Tool.from_mcp("gone", command="no-such-program"), Tool(name="odd", use="no.such:tool"))
        models = (reach(server), Model(name="mini", litellm="openai/gpt-4o-mini"))
        check = check_pool(Pool(models=models, tools=tools), calls=False)
        assert server.bodies == []
        assert [model.answers for model in check.models] == [None, None]
        assert "OPENAI_API_KEY" in str(check.models[1].error)
        assert [(tool.works, tool.error is None) for tool in check.tools] == [
            (None, True),
            (None, True),
            (False, False),
        ]
        assert check.pairs[0].works is None

    def test_is_tried_side_by_side(self, serve: Serve, reach: Reach) -> None:
        slow = serve(able, delay_s=0.3)
        told: list[tuple[int, int]] = []
        start = time.perf_counter()
        pool = Pool(models=tuple(reach(slow, f"m{number}") for number in range(6)))
        check_pool(pool, concurrency=6, progress=lambda done, total: told.append((done, total)))
        assert time.perf_counter() - start < 6 * 3 * 0.3
        assert told == [(number, 7) for number in range(1, 8)]

    @pytest.mark.parametrize("settings", [{"timeout_s": 0}, {"concurrency": 0}])
    def test_refuses_settings_out_of_range(self, settings: dict[str, Any]) -> None:
        with pytest.raises(SettingError, match="must be above 0 and from 1"):
            check_pool(Pool(models=(Model(name="small"),)), **settings)


def test_errors_are_short_and_said_once() -> None:
    assert short_error(ValueError("x" * 1000)) == f"ValueError: {'x' * 288}..."
    text = "AuthenticationError: litellm.AuthenticationError: AuthenticationError: OpenAIException - no"
    assert short_error(text) == "AuthenticationError: OpenAIException - no"
