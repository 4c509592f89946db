"""Adds up the usage of one run of a pair, and builds its observation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.execution.agents import AgentRun
from langchain_atlas.execution.invocations import InvocationCall, ModelCall, text_of
from langchain_atlas.failures.kinds import error_kinds_of, status_of
from langchain_atlas.loop.limits.pair_budget import current_budget
from langchain_atlas.masking import error_text
from langchain_atlas.trajectory import Observation, ToolTrace
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.pool.pool import Model, Pair

EMPTY_ANSWER = "EmptyAnswer: the model returned no text."
"""The error of a run that ended without any text."""

Outcome = AIMessage | ToolTrace | AgentRun | Exception
"""The result of one call: a reply, a trace, what an agent did, or the exception of a model call."""


class ObservationBuilder:
    """The usage of one run so far.

    Args:
        pair: the pair.
        model: its model, for the prices.
    """

    def __init__(self, pair: Pair, model: Model) -> None:
        self._pair = pair
        self._model = model
        self._start = time.perf_counter()
        self._usage = Usage(input_tokens=0, output_tokens=0)
        self._cost: float | None = 0.0
        self._budget = current_budget()
        self._known, self._unknown = 0.0, 0  # dollars of the calls whose cost is known, and how many others there were
        self._saved: float | None = 0.0
        self._calls = 0
        self._traces: list[ToolTrace] = []
        self._messages: tuple[dict[str, Any], ...] = ()
        self._last_said: AIMessage | None = None  # the last reply, unless it was internal

    def start(self) -> None:
        """Start the clock: earlier work, such as importing LiteLLM, is not part of the pair's latency."""
        self._start = time.perf_counter()

    def check_budget(self, calls: tuple[InvocationCall, ...]) -> None:
        """See to it that no model is called once the limit on cost is passed, as far as is known.

        Raises:
            ConstraintError: one would be.
        """
        if self._budget is None or not self._calls or not any(isinstance(call, ModelCall) for call in calls):
            return
        self._budget.check(self._known, self._unknown)

    def add(self, calls: tuple[InvocationCall, ...], outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Add the results of the calls of one step, in order, and return them for the conversation.

        Raises:
            Exception: the error of the first failed call that must not fail; the usage of the others is added before.
        """
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, ToolTrace):
                self.add_trace(outcome)
            elif isinstance(outcome, AgentRun):
                self.add_agent(outcome)
            elif isinstance(outcome, Exception):
                self.add_failed_call()
            else:
                self.add_reply(outcome)
                self._last_said = None if isinstance(call, ModelCall) and call.inward else outcome
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, Exception) and not (isinstance(call, ModelCall) and call.may_fail):
                raise outcome
            if isinstance(outcome, AgentRun) and outcome.error is not None:
                raise outcome.error
        return tuple(outcomes)

    def add_agent(self, run: AgentRun) -> None:
        """Add what an agent's models and tools did."""
        for reply, own in run.replies:
            if reply is None:
                self.add_failed_call()
            else:
                self.add_reply(reply, own=own)
        self._traces += run.traces
        self._messages, self._last_said = run.messages, run.said

    def add_reply(self, reply: AIMessage, *, own: bool = True) -> None:
        """Add a model's reply: its tokens and its cost; of another model than the pair's, without the pool's prices."""
        bill = billed(reply, self._model if own else None)
        self._usage += bill.usage
        self._pay(bill.cost_usd)
        self._saved = add_known(self._saved, bill.saved_usd)
        self._calls += 1

    def add_failed_call(self) -> None:
        """Count a model call that raised: its usage is unknown."""
        self._usage = Usage()
        self._pay(None)
        self._calls += 1

    def add_trace(self, trace: ToolTrace) -> None:
        """Add a tool call, with what the tool spent on models."""
        self._traces.append(trace)
        if trace.spent is not None:
            self._usage += trace.spent.usage
            self._pay(trace.spent.cost_usd)

    def _pay(self, dollars: float | None) -> None:
        self._cost = add_known(self._cost, dollars)
        self._known, self._unknown = self._known + (dollars or 0.0), self._unknown + (dollars is None)

    def observation(self, answer: str | None = None, error: BaseException | None = None) -> Observation:
        """Return the observation of the run, with its answer or its error."""
        message = None if error is None else error_text(error, self._model.api_key_env)
        if message is None and not answer:
            answer, message = None, empty_answer(self._last_said)
        said = self._last_said if self._last_said is not None and text_of(self._last_said) == answer else None
        return Observation(
            pair=self._pair,
            answer=answer if message is None else None,
            error=message,
            error_types=() if error is None else error_kinds_of(error),
            error_status=None if error is None else status_of(error),
            usage=self._usage,
            cost_usd=self._cost,
            saved_usd=self._saved,
            latency_s=time.perf_counter() - self._start,
            model_calls=self._calls,
            tool_trace=tuple(self._traces),
            messages=self._messages,
            message_id=None if said is None else said.id,
            **told_by(said),
        )


def empty_answer(reply: AIMessage | None) -> str:
    """Return the error of a run that ended without any text; it says if the reply was cut off or withheld."""
    reason = told_by(reply)["finish_reason"]
    return EMPTY_ANSWER if reason in (None, "stop") else f"{EMPTY_ANSWER} It ended by {reason!r}."


def told_by(reply: AIMessage | None) -> dict[str, str | None]:
    """Return the fields that an observation takes from a reply, besides its text and its usage.

    Args:
        reply: the reply that is the answer; None if there is none.
    """
    if reply is None:
        return {"finish_reason": None, "model_name": None, "reasoning": None}
    told = reply.response_metadata
    ended = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
    return {
        "finish_reason": None if ended is None else str(getattr(ended, "value", ended)),
        "model_name": _text(told.get("model_name") or told.get("model")),
        "reasoning": _reasoning(reply),
    }


def _reasoning(reply: AIMessage) -> str | None:
    told = reply.additional_kwargs.get("reasoning_content")
    if isinstance(told, str):
        return told or None
    if isinstance(reply.content, str) and not reply.additional_kwargs:
        return None  # a plain text has nowhere else to hold it, and taking it apart is slow
    blocks = [block.get("reasoning") for block in reply.content_blocks if block["type"] == "reasoning"]
    return "".join(text for text in blocks if isinstance(text, str)) or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def observed(pair: Pair, model: Model, reply: AIMessage, seconds: float) -> Observation:
    """Build the observation of one call of a pair's model.

    Args:
        pair: the pair.
        model: its model, for the prices.
        reply: the model's reply; it may consist only of a tool call.
        seconds: duration of the call.
    """
    bill = billed(reply, model)
    told = told_by(reply)
    return Observation(pair=pair, answer=text_of(reply) or None, latency_s=seconds, **bill._asdict(), **told)
