"""Refining: chains of reasoning, segments, programs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from calling import QUESTION, in_turn
from hypothesis import given
from hypothesis import strategies as st

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Observation, Pair, Pool, Query, Tool
from langchain_atlas.errors import PoolError
from langchain_atlas.execution.invocations.debugged import program_of
from langchain_atlas.execution.invocations.segmented import split_segments
from langchain_atlas.testing import Failure, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_types import Reach, Run, Serve


def execute(run: Run, model: Model, invocation: str, query: Query = QUESTION, **settings: Any) -> Observation:
    use = "python" if invocation == "debugged" else None
    tool = Tool(name="t", use=use, invocation=invocation, settings=settings)
    return run(LiveExecutor(Pool(models=(model,), tools=(NO_TOOL, tool)), retries=0), Pair("small", "t"), query)


def asked(server: OpenAIServer) -> list[str]:
    return [body["messages"][-1]["content"] for body in server.bodies]


class TestRefined:
    def test_revises_until_no_fault_is_found(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn("6+7 = 13", "It adds.", "6*7 = 42", "NO FAULT"))
        seen = execute(run, reach(server), "refined")
        assert seen.answer == "6*7 = 42"
        assert seen.model_calls == 4
        draft, critique, revision, check = asked(server)
        assert draft == QUESTION.text
        assert QUESTION.text in critique
        assert "6+7 = 13" in critique
        assert "6+7 = 13" in revision
        assert "It adds." in revision
        assert "6*7 = 42" in check

    @pytest.mark.parametrize("verdict", ["NO FAULT", "**No fault.**", "no faults found", ""])
    def test_keeps_a_draft_without_fault(self, serve: Serve, reach: Reach, run: Run, verdict: str) -> None:
        seen = execute(run, reach(serve(in_turn("42", verdict))), "refined")
        assert (seen.answer, seen.model_calls) == ("42", 2)

    def test_ends_after_its_rounds(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve(in_turn("1", "No.", "2", "No.", "3"))), "refined", rounds=2)
        assert seen.answer == "3"

    def test_keeps_the_draft_where_the_revision_is_empty(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve(in_turn("1", "No.", ""))), "refined", rounds=1)
        assert seen.answer == "1"

    def test_takes_prompts_and_options(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn("1", "wrong", "2"))
        settings = {
            "rounds": 1,
            "draft_prompt": "Draft: {query}",
            "critique_prompt": "Check {draft}",
            "revise_prompt": "Mend {draft}: {critique}",
            "options": {"temperature": 0.5},
            "critique_options": {"temperature": 0},
        }
        execute(run, reach(server), "refined", **settings)
        assert asked(server) == [f"Draft: {QUESTION.text}", "Check 1", "Mend 1: wrong"]
        assert [body["temperature"] for body in server.bodies] == [0.5, 0, 0.5]

    def test_wraps_no_tools(self) -> None:
        with pytest.raises(PoolError, match="its invocation 'refined' would never call them"):
            Tool(name="t", use="python", invocation="refined")


def reviewer(draft: str, reviews: dict[str, Any], final: str = "final") -> Callable[[dict[str, Any]], Any]:
    """Write a draft, review a part by what it holds, and finish."""
    lock = threading.Lock()

    def reply(body: dict[str, Any]) -> Any:
        with lock:
            text = body["messages"][-1]["content"]
            if "Look at this part" not in text:
                return final if "Write the final answer" in text else draft
            part = text.partition("alone:\n")[2].partition("\n\nIf this part")[0]
            return reviews.get(part, "KEEP")

    return reply


class TestSegmented:
    DRAFT = "first part\n\nsecond part\n\nthird part"

    def test_puts_the_revised_segments_in_place(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(reviewer(self.DRAFT, {"second part": "better part"}))
        seen = execute(run, reach(server), "segmented", finish=False)
        assert seen.answer == "first part\n\nbetter part\n\nthird part"
        assert seen.model_calls == 4

    def test_writes_the_answer_anew_once_something_changed(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(reviewer(self.DRAFT, {"second part": "better part"}))
        seen = execute(run, reach(server), "segmented")
        assert seen.answer == "final"
        assert "first part\n\nbetter part\n\nthird part" in asked(server)[-1]

    def test_keeps_a_draft_in_which_nothing_changed(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve(reviewer(self.DRAFT, {}))), "segmented")
        assert (seen.answer, seen.model_calls) == (self.DRAFT, 4)

    def test_keeps_a_segment_whose_review_fails(self, serve: Serve, reach: Reach, run: Run) -> None:
        reviews = {"first part": Failure(400), "third part": "end", "second part": ""}
        seen = execute(run, reach(serve(reviewer(self.DRAFT, reviews))), "segmented", finish=False)
        assert seen.answer == "first part\n\nsecond part\n\nend"

    def test_of_nothing_is_a_failure(self, serve: Serve, reach: Reach, run: Run) -> None:
        assert execute(run, reach(serve("")), "segmented").error == "EmptyAnswer: the model returned no text."

    @pytest.mark.parametrize(
        ("draft", "most", "segments"),
        [
            ("a\n\nb\n \nc", 8, ["a", "b", "c"]),
            ("a\n\nb\n\nc", 2, ["a", "b\n\nc"]),
            (
                "so:\n```python\nx = 1\n\ny = 2\n```\nthen\n\nend",
                8,
                ["so:\n```python\nx = 1\n\ny = 2\n```\nthen", "end"],
            ),
            ("```\na\n\nb", 8, ["```\na\n\nb"]),
            (" \n\n ", 8, []),
        ],
    )
    def test_segments_are_paragraphs_and_whole_blocks(self, draft: str, most: int, segments: list[str]) -> None:
        assert split_segments(draft, most) == segments

    @given(st.text("ab`\n ", max_size=60), st.integers(1, 5))
    def test_segments_lose_nothing_but_space(self, draft: str, most: int) -> None:
        segments = split_segments(draft, most)
        assert len(segments) <= most
        assert "".join("".join(segments).split()) == "".join(draft.split())


def block(program: str) -> str:
    return f"Here:\n```python\n{program}\n```\nDone."


class TestDebugged:
    def test_mends_a_program_by_its_error(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(block("print(6 * sevn)"), block("print(6 * 7)")))
        seen = execute(run, reach(server), "debugged", answer="output")
        assert seen.answer == "42"
        assert [trace.arguments["code"] for trace in seen.tool_trace] == ["print(6 * sevn)", "print(6 * 7)"]
        assert "NameError" in str(seen.tool_trace[0].error)
        wrote, said, told = server.bodies[1]["messages"]
        assert "```python block" in wrote["content"]
        assert said == {"role": "assistant", "content": block("print(6 * sevn)")}
        assert "NameError" in told["content"]

    def test_gives_the_program(self, serve: Serve, reach: Reach, run: Run) -> None:
        seen = execute(run, reach(serve(block("def f():\n    return 42"))), "debugged")
        assert seen.answer == "```python\ndef f():\n    return 42\n```"
        assert seen.model_calls == 1

    def test_lets_the_model_answer_with_the_output(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(block("print(42)"), "It is 42."))
        seen = execute(run, reach(server), "debugged", answer="model")
        assert seen.answer == "It is 42."
        assert "Running it gave:\n42" in asked(server)[-1]

    def test_runs_the_checks_that_came_with_the_query(self, serve: Serve, reach: Reach, run: Run) -> None:
        wrong, right = "def f(x):\n    return x + 1", "def f(x):\n    return x * 2"
        server = serve(in_turn(block(wrong), block(right)))
        query = Query(text="Write f that doubles.", context="assert f(4) == 8")
        seen = execute(run, reach(server), "debugged", query, checks="context")
        assert seen.answer == f"```python\n{right}\n```", "the checks are no part of the answer"
        assert seen.tool_trace[1].arguments["code"] == f"{right}\n\nassert f(4) == 8\n"
        assert "assert f(4) == 8" not in asked(server)[0], "what will be checked is not given away"

    def test_can_let_the_model_write_the_checks_first(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(in_turn(block("assert f(4) == 8"), block("f = lambda x: x"), block("f = lambda x: 2 * x")))
        seen = execute(run, reach(server), "debugged", Query(text="Write f that doubles."), checks="model")
        assert seen.answer == "```python\nf = lambda x: 2 * x\n```"
        assert seen.model_calls == 3

    def test_ends_after_its_fixes(self, serve: Serve, reach: Reach, run: Run) -> None:
        server = serve(block("1 / 0"))
        seen = execute(run, reach(server), "debugged", max_fixes=2)
        assert seen.answer == "```python\n1 / 0\n```"
        assert seen.model_calls == 3

    @pytest.mark.parametrize("settings", [{"answer": "output"}, {"keep_failing": False}])
    def test_that_still_fails_has_failed_where_told(
        self, serve: Serve, reach: Reach, run: Run, settings: dict[str, Any]
    ) -> None:
        seen = execute(run, reach(serve(block("1 / 0"))), "debugged", max_fixes=1, **settings)
        assert "the program still fails after 1 fixes" in str(seen.error)
        assert "ZeroDivisionError" in str(seen.error)

    @pytest.mark.parametrize(
        ("text", "program"),
        [
            ("x = 1", "x = 1"),
            ("```python\nx = 1\n```", "x = 1"),
            ("```\nls\n``` and ```python\nx = 1\n    \ny = 2\n```", "x = 1\n    \ny = 2"),
            ("```python\nx = 1", "x = 1"),
        ],
    )
    def test_reads_the_program_of_a_reply(self, text: str, program: str) -> None:
        assert program_of(text) == program

    @given(st.text())
    def test_reads_a_program_of_any_text(self, text: str) -> None:
        assert program_of(text) in text

    def test_needs_a_tool_that_runs_programs(self) -> None:
        with pytest.raises(PoolError, match="wraps no tool"):
            Tool(name="t", invocation="debugged")
