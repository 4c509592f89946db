"""A language model as the policy: it reads the pool's descriptions, asks, reads the results, and answers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.loop.limits.trajectory_limits import MAX_TURNS
from langchain_atlas.messages.histories import sendable
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import last_answer
from langchain_atlas.routers.prompted.base import ModelRouter
from langchain_atlas.routers.prompted.conversation import question_text
from langchain_atlas.routers.prompted.describing import joined, pool_descriptions
from langchain_atlas.routers.prompted.protocols import PROTOCOLS, StepProtocol
from langchain_atlas.routers.prompted.tags import TagError
from langchain_atlas.trajectory import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.pool.pool import Pool
    from langchain_atlas.routers.prompted.base import AskingModel
    from langchain_atlas.routers.prompted.serving import Servable
    from langchain_atlas.routers.saved.artifact import Artifact
    from langchain_atlas.trajectory import Query, Trajectory

_MEND = "That can't be used: {problem} Write the step again."


class PromptedRouter(ModelRouter):
    """Lets a language model decide, by description: new pairs are used as soon as they are described.

    Each decision costs a model call; `RLRouter` decides in milliseconds. If a step can't be used, the model is called
    once more; if that fails too, the default pair is called, or, once a call returned an answer, that answer is given.

    Args:
        chat_model: a `Model`, which LiteLLM reaches and which is saved with the router, or any LangChain chat model;
            use temperature 0, so that a decision can be repeated.
        pool: the pairs it may call, with the descriptions that it reads.
        default: the pair to call when the model's step can't be used; the pool's first when left out.
        described: more about each pair, such as `describe_pairs` returns from recorded outcomes.
        protocol: ``tags``, ``functions`` (native function calls) or ``json`` (constrained by a schema).
        observation_chars: maximum number of characters of a result that are shown to the model.
        question_chars: maximum number of characters of the question that are shown; a longer one loses its middle.
        samples: number of replies for each step, of which the most frequent is taken (self-consistency); of use with a
            temperature above 0.

    Raises:
        PoolError: `default` is not in the pool.
        SettingError: a number of characters is below 1, or there is no such protocol.
    """

    kind: ClassVar[str] = "prompted"

    def __init__(
        self,
        chat_model: Servable | None,
        pool: Pool | Mapping[Pair, str],
        *,
        default: Pair | None = None,
        described: Mapping[Pair, str] | None = None,
        protocol: str = "tags",
        observation_chars: int = 8000,
        question_chars: int = 1_000_000,
        samples: int = 1,
    ) -> None:
        from langchain_atlas.pool.pool import Pool

        told = pool_descriptions(pool) if isinstance(pool, Pool) else pool
        super().__init__(chat_model, joined(told, described or {}))
        self._pool = pool if isinstance(pool, Pool) else None
        self.default = self._pairs[0] if default is None else self.pool.check(default)
        self.protocol = _checked_protocol(protocol)
        self.observation_chars = _positive("observation_chars", observation_chars)
        self.question_chars = _positive("question_chars", question_chars)
        self.samples = _positive("samples", samples)

    @property
    def pool(self) -> Pool:
        """The pool it was made with, or one of its pairs."""
        return super().pool if self._pool is None else self._pool

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {
            "observation_chars": self.observation_chars,
            "protocol": self.protocol,
            "question_chars": self.question_chars,
            "samples": self.samples,
        }

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        changed = copy.copy(self)
        for name in ("observation_chars", "question_chars", "samples"):
            setattr(changed, name, _positive(name, settings.get(name, self.settings[name])))
        changed.protocol = _checked_protocol(settings.get("protocol", self.protocol))
        return changed

    def _asking(self, query: Query, trajectory: Trajectory) -> AskingModel:
        allowed = self._allowed(query)
        if _spent(query, trajectory):
            return last_answer(
                trajectory, rule="budget", reason="Nothing is left of the query's budget, as far as is known."
            )
        protocol = PROTOCOLS[self.protocol]
        messages = self._messages(protocol, query, trajectory, allowed)
        how = protocol.asking(trajectory, allowed)
        drawn: list[Decision] = []
        problem = ""
        for _ in range(self.samples):
            reply = yield messages, how
            try:
                drawn.append(protocol.read(reply, trajectory, allowed))
            except TagError as error:
                problem = str(error)
        if drawn:
            return _most_frequent(drawn)
        written = AIMessage(str(reply.text).strip() or "(nothing)")
        reply = yield [*messages, written, HumanMessage(_MEND.format(problem=problem))], how
        try:
            return protocol.read(reply, trajectory, allowed)
        except TagError as error:
            return self._fallback(trajectory, allowed, f"The model's step could not be used: {error}")

    def _messages(
        self, protocol: StepProtocol, query: Query, trajectory: Trajectory, allowed: Sequence[Pair]
    ) -> list[BaseMessage]:
        steps: Iterable[BaseMessage] = (
            message
            for number, step in enumerate(trajectory.steps, start=1)
            for message in protocol.shown(step, number, self.observation_chars)
        )
        system = SystemMessage(protocol.system(self._told(allowed), MAX_TURNS))
        return sendable([system, *query.history, HumanMessage(question_text(query, self.question_chars)), *steps])

    def _fallback(self, trajectory: Trajectory, allowed: Sequence[Pair], reason: str) -> Decision:
        if trajectory.calls:
            return last_answer(trajectory, rule="malformed-step", reason=reason)
        pair = self.default if self.default in allowed else allowed[0]
        return Decision(kind="route", pair=pair, rule="malformed-step", reason=reason)

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "default": str(self.default)}

    @classmethod
    def _rebuilt(
        cls, model: Servable | None, described: dict[Pair, str], artifact: Artifact, encoder: Encoder | None
    ) -> Self:
        del encoder
        default = Pair.parse(artifact.facts["default"])
        known = default if default in described else None  # it may have been restricted to others
        return cls(model, described, default=known, **artifact.settings)


def _spent(query: Query, trajectory: Trajectory) -> bool:
    """Whether the calls so far have used up the query's limits on cost or latency.

    This router does not estimate costs, so by the rule of `routers.constraints` a call of unknown cost leaves nothing.
    """
    limits = query.constraints
    used = ((limits.max_cost_usd, trajectory.cost_usd), (limits.max_latency_s, trajectory.latency_s))
    return trajectory.calls > 0 and any(
        limit is not None and (spent is None or spent >= limit) for limit, spent in used
    )


def _most_frequent(drawn: Sequence[Decision]) -> Decision:
    """Return the first of the decisions that do what most of them do."""
    moves = [(one.kind, one.pair, one.answer if one.kind == "answer" else None) for one in drawn]
    return drawn[moves.index(max(moves, key=moves.count))]


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} is {value!r}; it must be a whole number from 1.")
    return value


def _checked_protocol(protocol: Any) -> str:
    if protocol not in PROTOCOLS:
        raise SettingError(f"protocol is {protocol!r}. {suggest(str(protocol), PROTOCOLS)}")
    return str(protocol)
