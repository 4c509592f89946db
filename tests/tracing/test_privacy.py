"""Texts can be kept out of a trace, while what was decided stays."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from traced import PRIVATE

from langchain_atlas import create_atlas_graph, solve
from langchain_atlas.testing import ScriptedExecutor, ScriptedRouter
from langchain_atlas.tracing import HIDDEN, hide_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from traced import Traces

    from langchain_atlas import LiveExecutor, Router


def test_no_text_leaves_and_the_decision_does(
    traces: Traces, router: Router, executor: LiveExecutor, invoke: Callable[..., Any]
) -> None:
    graph = create_atlas_graph(router, executor).compile()
    with traces.on(anonymizer=hide_texts) as server:
        state = invoke(graph, {"messages": [HumanMessage(PRIVATE)]})
    assert state["messages"][-1].content == "The answer is 42."
    sent = b"".join(server.bodies)
    for text in ("salary", "Lovelace", "The answer is"):
        assert text.encode() not in sent
    decision, _ = server.named("atlas.decide")
    assert decision.inputs["query"] == HIDDEN
    assert decision.outputs["pair"] == "small@@calculator"
    assert decision.outputs["chosen"]["expected_success"] == 0.75
    assert decision.metadata["atlas_rule"] == "utility"
    (execution,) = server.named("atlas.execute")
    assert execution.outputs["answer"] == HIDDEN
    assert execution.outputs["usage"]["output_tokens"] > 0
    assert execution.metadata["atlas_cost_usd"] > 0
    assert server.named("RetryingChatLiteLLM")[0].metadata["usage_metadata"]["input_tokens"] > 0


def test_an_error_keeps_its_type_alone(traces: Traces) -> None:
    executor = ScriptedExecutor({"small@@none": ValueError(f"can't read {PRIVATE}")})
    with traces.on(anonymizer=hide_texts) as server:
        solve(PRIVATE, ScriptedRouter("small@@none"), executor)
    assert b"Lovelace" not in b"".join(server.bodies)
    assert server.named("atlas.execute")[0].outputs["error"] == f"ValueError: {HIDDEN}"


def test_the_error_of_a_run_keeps_its_type_alone(traces: Traces) -> None:
    def fail(*_: object) -> str:
        raise KeyError(PRIVATE)

    with traces.on(anonymizer=hide_texts) as server, contextlib.suppress(KeyError):
        solve(PRIVATE, ScriptedRouter("small@@none"), ScriptedExecutor(fail))
    assert b"Lovelace" not in b"".join(server.bodies)
    assert server.named("atlas.execute")[0].error == f"KeyError: {HIDDEN}"


TEXTS = st.text(min_size=1).map(lambda text: f"<{text}>")
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["query", "answer", "input", "error"]), inner),
)


@given(st.dictionaries(st.sampled_from(["query", "messages", "error", "state"]), VALUES))
def test_nothing_but_names_and_numbers_is_left(data: dict[str, Any]) -> None:
    assert "<" not in json.dumps(hide_texts(data))
    assert hide_texts(hide_texts(data)) == hide_texts(data)
