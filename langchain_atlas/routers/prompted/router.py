"""A language model as the policy: it reads the pool's descriptions and uses the tag protocol."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.messages.histories import sendable
from langchain_atlas.routers.base import Router, last_answer, shared_pairs, some
from langchain_atlas.routers.prompted.tags import Block, TagError, read_blocks, read_call, write_blocks
from langchain_atlas.text.thoughts import with_think_tags
from langchain_atlas.trajectory import START, Decision

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel

    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.trajectory import Query, Trajectory

    Asking = Generator[list[BaseMessage], str, Decision]
    """Yields the messages for the language model, receives its reply, returns the decision."""

_SYSTEM = """You answer questions by asking others. Each of them is a language model with a tool:
{pairs}

Write one step at a time, in tags:
<think>what is known and what is missing</think>
<search>model@@tool: what to ask it</search>
<answer>the final answer, and nothing else</answer>

A step is a <think> followed by one <search> or by the <answer>. After a <search> stop: its result will stand in
<information>. Choose whom to ask by what it is good at; ask again elsewhere where a result is missing or in doubt."""
_ASK = "Question: {question}\n\nSteps so far:\n{steps}\n\nThe next step:"
_MEND = "That can't be used: {problem} Write the next step again, in tags."


class PromptedRouter(Router):
    """Lets a chat model decide, by description instead of training: new pairs are used as soon as they are described.

    Each decision costs a model call; `RLRouter` decides in milliseconds. If a step can't be used, the model is called
    once more; if that fails too, the default pair is called, or, once a call returned an answer, that answer is given.

    Args:
        chat_model: any LangChain chat model; use temperature 0, so that a decision can be repeated.
        pool: the pairs it may call, with the descriptions that it reads.
        default: the pair to call when the model's step can't be used; the pool's first when left out.
        observation_chars: maximum number of characters of a result that are shown to the model.

    Raises:
        PoolError: `default` is not in the pool.
        SettingError: `observation_chars` is below 1.
    """

    def __init__(
        self, chat_model: BaseChatModel, pool: Pool, *, default: Pair | None = None, observation_chars: int = 8000
    ) -> None:
        self.chat_model = chat_model
        self.pool = pool
        self.default = pool.pairs[0] if default is None else pool.check(default)
        self.observation_chars = _checked(observation_chars)
        self._pairs = pool.pairs

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self._pairs

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {"observation_chars": self.observation_chars}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        changed = copy.copy(self)
        changed.observation_chars = _checked(settings["observation_chars"])
        return changed

    def restrict(self, pairs: Iterable[Pair]) -> Self:
        """Return a router that chooses only from these of its pairs."""
        smaller = copy.copy(self)
        vars(smaller)["_pairs"] = shared_pairs(self._pairs, pairs)
        return smaller

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Call the chat model for the next step; see `Router.decide`."""
        asking = self._asking(query, trajectory)
        try:
            messages = next(asking)
            while True:
                messages = asking.send(str(self.chat_model.invoke(messages).text))
        except StopIteration as end:
            decision: Decision = end.value
            return decision

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""
        asking = self._asking(query, trajectory)
        try:
            messages = next(asking)
            while True:
                messages = asking.send(str((await self.chat_model.ainvoke(messages)).text))
        except StopIteration as end:
            decision: Decision = end.value
            return decision

    def _asking(self, query: Query, trajectory: Trajectory) -> Asking:
        allowed = self._allowed(query)
        if _spent(query, trajectory):
            return last_answer(
                trajectory, rule="budget", reason="Nothing is left of the query's budget, as far as is known."
            )
        messages = self._messages(query, trajectory, allowed)
        text = yield messages
        try:
            return self._read(text, trajectory, allowed)
        except TagError as error:
            problem = str(error)
        text = yield [*messages, HumanMessage(f"{text.strip()}\n\n{_MEND.format(problem=problem)}")]
        try:
            return self._read(text, trajectory, allowed)
        except TagError as error:
            return self._fallback(trajectory, allowed, f"The model's step could not be used: {error}")

    def _allowed(self, query: Query) -> tuple[Pair, ...]:
        wanted = query.constraints.pairs
        allowed = tuple(pair for pair in self._pairs if wanted is None or pair in wanted)
        if not allowed:
            raise ConstraintError(f"The query allows none of the router's pairs; the router has {some(self._pairs)}.")
        return allowed

    def _messages(self, query: Query, trajectory: Trajectory, allowed: Sequence[Pair]) -> list[BaseMessage]:
        question = query.full_text
        steps = write_blocks(self._blocks(query, trajectory)) or "(none)"
        described = "\n".join(map(self._described, allowed))
        asked = _ASK.format(question=question, steps=steps)
        return sendable([SystemMessage(_SYSTEM.format(pairs=described)), *query.history, HumanMessage(asked)])

    def _described(self, pair: Pair) -> str:
        model, tool = self.pool.model(pair.model), self.pool.tool(pair.tool)
        prices = (model.input_cost_per_token, model.output_cost_per_token)
        price = "" if None in prices else f" ${1e6 * prices[0]:g} in, ${1e6 * prices[1]:g} out a million tokens."  # type: ignore[operator]
        parts = [part for part in (model.description, tool.description) if part]
        return f"- {pair}: {' '.join(parts)}{price}".rstrip(": ")

    def _blocks(self, query: Query, trajectory: Trajectory) -> list[Block]:
        blocks: list[Block] = []
        for step in trajectory.steps:
            decision, seen = step.decision, step.observation
            if decision.kind == "think":
                blocks.append(Block("think", decision.answer or ""))
            elif decision.pair is not None:
                blocks += [Block("think", decision.reason)] if decision.reason else []
                blocks.append(Block("search", f"{decision.pair}: {decision.input or query.text}"))
                told = "" if seen is None else seen.answer or f"failed: {seen.error}"
                blocks.append(Block("information", told[: self.observation_chars]))
        return blocks

    def _read(self, text: str, trajectory: Trajectory, allowed: Sequence[Pair]) -> Decision:
        """Parse the model's step.

        Raises:
            TagError: it can't be used.
        """
        blocks = read_blocks(_first_step(with_think_tags(text)))
        thoughts = " ".join(one.text for one in blocks if one.name == "think")
        move = next((one for one in blocks if one.name in ("search", "answer")), None)
        if move is None:
            if not thoughts:
                raise TagError("There is no <search> and no <answer>.")
            return Decision(kind="think", answer=thoughts, rule="policy")
        if move.name == "search":
            pair, asked = read_call(move.text, allowed)
            return Decision(kind="route", pair=pair, input=asked, rule="policy", reason=thoughts)
        if not move.text:
            raise TagError("The <answer> is empty.")
        answered = [number for number, step in enumerate(trajectory.steps) if _answer(step.observation)]
        if not trajectory.calls:
            raise TagError("Nobody was asked yet: <search> before you <answer>.")
        if not answered:
            return last_answer(trajectory, rule="policy", reason="The model ends; no call returned an answer.")
        source = next((n for n in reversed(answered) if _answer(trajectory.steps[n].observation) == move.text), None)
        return Decision(kind="answer", answer=move.text, source=source, rule="policy", reason=thoughts)

    def _fallback(self, trajectory: Trajectory, allowed: Sequence[Pair], reason: str) -> Decision:
        if trajectory.calls:
            return last_answer(trajectory, rule="malformed-step", reason=reason)
        pair = self.default if self.default in allowed else allowed[0]
        return Decision(kind="route", pair=pair, rule="malformed-step", reason=reason)


def _first_step(text: str) -> str:
    """Return a reply up to its first call or answer, closed if a stop sequence cut it; the rest is made up."""
    opened = min((at for at in (text.find("<search>"), text.find("<answer>")) if at >= 0), default=-1)
    if opened < 0:
        return text
    name = text[opened + 1 : text.index(">", opened)]
    end = text.find(f"</{name}>", opened)
    return f"{text}</{name}>" if end < 0 else text[: end + len(name) + 3]


def _answer(seen: Any) -> str | None:
    return None if seen is None or seen.answer is None else str(seen.answer).strip()


def _spent(query: Query, trajectory: Trajectory) -> bool:
    """Whether the calls so far have used up the query's limits on cost or latency.

    This router does not estimate costs, so by the rule of `routers.constraints` a call of unknown cost leaves nothing.
    """
    limits = query.constraints
    used = ((limits.max_cost_usd, trajectory.cost_usd), (limits.max_latency_s, trajectory.latency_s))
    return trajectory.calls > 0 and any(
        limit is not None and (spent is None or spent >= limit) for limit, spent in used
    )


def _checked(observation_chars: Any) -> int:
    if not isinstance(observation_chars, int) or observation_chars < 1:
        raise SettingError(f"observation_chars is {observation_chars!r}; it must be a whole number from 1.")
    return observation_chars
