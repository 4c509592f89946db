"""A trajectory as a conversation in the tag protocol: the system prompt, the question, and a turn for every step.

The policy's steps are the assistant's turns and the results of calls are the user's, so that a policy that is served
sees exactly what it saw in training, and a provider can cache what it has read before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_atlas.routers.prompted.tags import Block, TagError, read_blocks, read_call, write_blocks
from langchain_atlas.text.thoughts import with_think_tags
from langchain_atlas.trajectory import Decision, Observation, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.trajectory import Query, Step

PASS_ON = "the question"  # noqa: S105  # no password
"""Written as the input of a call, it passes the question on unchanged."""

STOPS = ("</search>", "</answer>")
"""Stop sequences: after one of these, a step is complete."""

GO_ON = "Go on."
"""The user's turn after a thought alone."""

_RESULT = re.compile(r"result (\d{1,2})", re.IGNORECASE)
"""Written as the answer, it gives the result of a call unchanged."""

_SYSTEM = """You answer questions by asking others. Each of them is a language model with a tool:
{pairs}

Write one step at a time, in tags. First ask one of them:
<think>who is good at this</think>
<search>model@@tool: the question</search>
Then stop: the result comes in <information>. Ask another one if it is missing or in doubt, at most {turns} in all. \
At the end:
<think>why this is the answer</think>
<answer>the final answer, and nothing else</answer>

Always ask before you answer. Instead of "the question" you may write what to ask, in your own words; as the \
answer you may write "result 1" to give the first result unchanged."""


def system_prompt(described: Mapping[Pair, str], turns: int) -> str:
    """Return the system prompt.

    Args:
        described: what each pair is good at, in words; empty where nothing is known.
        turns: maximum number of calls.
    """
    lines = [f"- {pair}: {text}".rstrip(": ") for pair, text in described.items()]
    return _SYSTEM.format(pairs="\n".join(lines), turns=turns)


def question_text(query: Query, chars: int | None = None) -> str:
    """Return the user's turn with the question; what is longer than `chars` loses its middle."""
    text = query.full_text
    if chars is not None and len(text) > chars:
        kept = chars // 2
        text = f"{text[:kept]}\n[...]\n{text[len(text) - kept :]}"
    return f"Question: {text}"


def observation_text(seen: Observation | None, chars: int) -> str:
    """Return the user's turn with the result of a call, cut to `chars` characters."""
    told = "" if seen is None else seen.answer or f"failed: {seen.error}"
    return write_blocks([Block("information", told[:chars])])


def step_messages(step: Step, chars: int) -> list[BaseMessage]:
    """Return the turns of one step: what the policy wrote, and what it was told."""
    decision = step.decision
    if decision.pair is None:
        said = write_blocks([Block("think", decision.answer or "")])
        return [AIMessage(said), HumanMessage(GO_ON)] if decision.kind == "think" else []
    blocks = [Block("think", decision.reason)] if decision.reason else []
    blocks.append(Block("search", f"{decision.pair}: {decision.input or PASS_ON}"))
    return [AIMessage(write_blocks(blocks)), HumanMessage(observation_text(step.observation, chars))]


def first_step(text: str) -> str:
    """Return a reply up to its first call or answer, closed if a stop sequence cut it; the rest is made up."""
    opened = min((at for at in (text.find("<search>"), text.find("<answer>")) if at >= 0), default=-1)
    if opened < 0:
        return text
    name = text[opened + 1 : text.index(">", opened)]
    end = text.find(f"</{name}>", opened)
    return f"{text}</{name}>" if end < 0 else text[: end + len(name) + 3]


def read_step(text: str, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
    """Parse a step that the policy wrote.

    Args:
        text: what it wrote.
        trajectory: the steps so far.
        allowed: the pairs that may be called.

    Raises:
        TagError: it can't be used.
    """
    blocks = read_blocks(first_step(with_think_tags(text)))
    thoughts = " ".join(one.text for one in blocks if one.name == "think")
    move = next((one for one in blocks if one.name in ("search", "answer")), None)
    if move is None:
        if not thoughts:
            raise TagError("There is no <search> and no <answer>.")
        return Decision(kind="think", answer=thoughts, rule="policy")
    if move.name == "search":
        pair, asked = read_call(move.text, allowed)
        return routed(pair, asked, thoughts)
    if not move.text:
        raise TagError("The <answer> is empty.")
    if not trajectory.calls:
        raise TagError("Nobody was asked yet: <search> before you <answer>.")
    return answered(move.text, trajectory, thoughts)


def routed(pair: Pair, asked: str, reason: str) -> Decision:
    """Return the decision to call a pair; `PASS_ON` passes the question on."""
    unchanged = asked.strip().rstrip(".").lower() == PASS_ON
    return Decision(kind="route", pair=pair, input=None if unchanged else asked, rule="policy", reason=reason)


def answered(text: str, trajectory: Trajectory, reason: str) -> Decision:
    """Return the decision to give an answer, with the call whose answer it is.

    Raises:
        TagError: it names a result that does not exist.
    """
    known = {number: told for number, step in enumerate(trajectory.steps) if (told := _answer(step.observation))}
    if not known:
        return last_answer(trajectory, rule="policy", reason="The model ends; no call returned an answer.")
    named = _RESULT.fullmatch(text.strip().rstrip("."))
    if named is not None:
        calls = [number for number, step in enumerate(trajectory.steps) if step.observation is not None]
        place = int(named[1])
        if not 1 <= place <= len(calls) or calls[place - 1] not in known:
            there = ", ".join(str(calls.index(number) + 1) for number in known)
            raise TagError(f"There is no result {place} with an answer; there is: {there}.")
        source = calls[place - 1]
        seen = trajectory.steps[source].observation
        return Decision(
            kind="answer", answer=None if seen is None else seen.answer, source=source, rule="policy", reason=reason
        )
    source_found = next((number for number in reversed(known) if known[number] == text.strip()), None)
    return Decision(kind="answer", answer=text, source=source_found, rule="policy", reason=reason)


def _answer(seen: Observation | None) -> str | None:
    return None if seen is None or seen.answer is None else seen.answer.strip()
