"""The paper's prompt routers: one call of a language model picks the pair, without examples or with some."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import SettingError
from langchain_atlas.messages.histories import sendable
from langchain_atlas.privacy import check_encoder
from langchain_atlas.routers.base import last_answer
from langchain_atlas.routers.prompted.base import DESCRIBED_FACT, ModelRouter
from langchain_atlas.routers.prompted.conversation import question_text
from langchain_atlas.routers.prompted.describing import describe_pairs
from langchain_atlas.routers.prompted.protocols import Asking
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.text.thoughts import without_thoughts
from langchain_atlas.text.written_names import first_named
from langchain_atlas.trajectory import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.prompted.base import AskingModel
    from langchain_atlas.routers.prompted.serving import Servable
    from langchain_atlas.routers.saved.artifact import Artifact
    from langchain_atlas.trajectory import Query, Trajectory

_SYSTEM = """Choose who answers a question. Each of these is a language model with a tool:
{pairs}

Reply with the name of the one that most likely answers it right, exactly as written above, and nothing else. Of those \
that are equally good, choose the cheapest."""
_MEND = "Reply with one of these names and nothing else: {names}."
_RIGHT = 0.5
_EXAMPLE_CHARS = 400


class ZeroShotRouter(ModelRouter):
    """One call of a language model picks the pair, from the descriptions alone; its answer is given.

    If the reply names no pair that may be called, the model is asked once more; then the first allowed one is called.

    Args:
        chat_model: a `Model`, which LiteLLM reaches and which is saved with the router, or any LangChain chat model.
        described: what the model is told of each pair; see `describe_pairs`.
        constrained: whether the endpoint is asked to allow the names of pairs only, by a JSON schema.
        question_chars: maximum number of characters of the question that are shown; a longer one loses its middle.

    Raises:
        SettingError: `described` is empty, or `question_chars` is below 1.
    """

    kind: ClassVar[str] = "zero_shot"

    def __init__(
        self,
        chat_model: Servable | None,
        described: Mapping[Pair, str],
        *,
        constrained: bool = False,
        question_chars: int = 4000,
    ) -> None:
        super().__init__(chat_model, described)
        self.constrained = bool(constrained)
        self.question_chars = _positive("question_chars", question_chars)

    @classmethod
    def of(cls, chat_model: Servable, table: OutcomeTable, **settings: Any) -> Self:
        """Make a router whose pairs are described by their recorded outcomes."""
        router = cls(chat_model, describe_pairs(table), **settings)
        router.fitted_on = united(fingerprints(table.queries))
        return router

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {"constrained": int(self.constrained), "question_chars": self.question_chars}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        changed = copy.copy(self)
        changed.constrained = bool(settings.get("constrained", self.constrained))
        changed.question_chars = _positive("question_chars", settings.get("question_chars", self.question_chars))
        return changed

    @property
    def takes_first_answer(self) -> bool:
        """Whether it answers with the first call that succeeds: yes."""
        return True

    def _asking(self, query: Query, trajectory: Trajectory) -> AskingModel:
        if trajectory.observations:
            return last_answer(trajectory, rule="routed-once", reason="This router asks one pair, once.")
        allowed = self._allowed(query)
        if len(allowed) == 1:
            return Decision(kind="route", pair=allowed[0], rule="only-pair", reason="The query allows no other pair.")
        messages = self._messages(query, allowed)
        how = Asking({"response_format": _schema(allowed)} if self.constrained else {})
        for again in (False, True):
            names = ", ".join(map(str, allowed))
            more = [HumanMessage(_MEND.format(names=names))] if again else []
            reply = yield sendable([*messages, *more]), how
            named = first_named(without_thoughts(str(reply.text)), list(map(str, allowed)))
            if named is not None:
                pair = next(pair for pair in allowed if str(pair) == named)
                return Decision(kind="route", pair=pair, rule=self.kind, reason="The language model chose it.")
        reason = "The language model named no pair that may be called."
        return Decision(kind="route", pair=allowed[0], rule="malformed-step", reason=reason)

    def _messages(self, query: Query, allowed: Sequence[Pair]) -> list[BaseMessage]:
        lines = [f"- {pair}: {text}".rstrip(": ") for pair, text in self._told(allowed).items()]
        system = SystemMessage(_SYSTEM.format(pairs="\n".join(lines)))
        return [system, *self._examples(query, allowed), HumanMessage(question_text(query, self.question_chars))]

    def _examples(self, query: Query, allowed: Sequence[Pair]) -> list[BaseMessage]:
        """Return worked examples; none in this class."""
        del query, allowed
        return []

    @classmethod
    def _rebuilt(
        cls, model: Servable | None, described: dict[Pair, str], artifact: Artifact, encoder: Encoder | None
    ) -> Self:
        del encoder
        return cls(model, described, **artifact.settings)


@dataclass(frozen=True)
class Examples:
    """Recorded queries, with the cheapest pair that is right on each."""

    texts: tuple[str, ...]
    """The queries, as they are shown."""
    vectors: NDArray[np.float32]
    """Their embeddings, shape [n, dimension]."""
    right: NDArray[np.bool_]
    """Which pairs are right on them, shape [n, n_pairs]."""
    costs: NDArray[np.float32]
    """Mean dollars of a call of each pair, shape [n_pairs]; infinite where unknown."""


class FewShotRouter(ZeroShotRouter):
    """Picks the pair like `ZeroShotRouter`, with recorded queries near this one as examples.

    An example shows a query and the cheapest pair that was right on it, of those that may be called.

    Args:
        chat_model: as for `ZeroShotRouter`.
        described: as for `ZeroShotRouter`.
        examples: the recorded queries; `of` takes them from an outcome table.
        encoder: embeds queries.
        n_examples: number of examples.
        settings: those of `ZeroShotRouter`.
    """

    kind: ClassVar[str] = "few_shot"

    def __init__(
        self,
        chat_model: Servable | None,
        described: Mapping[Pair, str],
        examples: Examples | None = None,
        *,
        encoder: Encoder | None = None,
        n_examples: int = 4,
        **settings: Any,
    ) -> None:
        super().__init__(chat_model, described, **settings)
        if examples is None:
            raise SettingError("A few-shot router needs examples: make it with FewShotRouter.of(chat_model, table).")
        self.examples = examples
        self.encoder = encoder or SentenceTransformerEncoder()
        self.n_examples = _positive("n_examples", n_examples)
        self._columns = {pair: column for column, pair in enumerate(described)}

    @classmethod
    def of(cls, chat_model: Servable, table: OutcomeTable, encoder: Encoder | None = None, **settings: Any) -> Self:
        """Make a router whose descriptions and examples come from recorded outcomes."""
        encoder = encoder or SentenceTransformerEncoder()
        costs = table.matrix("cost_usd")
        known = ~np.isnan(costs)
        means = np.where(known, costs, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        examples = Examples(
            texts=tuple(_shortened(query.text) for query in table.queries),
            vectors=encoder.encode([query.text for query in table.queries]),
            right=table.matrix("score") >= _RIGHT,
            costs=np.where(known.any(0), means, np.inf).astype(np.float32),
        )
        router = cls(chat_model, describe_pairs(table), examples, encoder=encoder, **settings)
        router.fitted_on = united(fingerprints(table.queries))
        return router

    @property
    def settings(self) -> Mapping[str, float | int | str | None]:
        """What `configure` can change."""
        return {**super().settings, "n_examples": self.n_examples}

    def _configured(self, settings: Mapping[str, Any]) -> Self:
        changed = super()._configured(settings)
        changed.n_examples = _positive("n_examples", settings.get("n_examples", self.n_examples))
        return changed

    def _examples(self, query: Query, allowed: Sequence[Pair]) -> list[BaseMessage]:
        columns = np.array([self._columns[pair] for pair in allowed])
        right = self.examples.right[:, columns]
        check_encoder(self.encoder, [query])
        near = self.examples.vectors @ self.encoder.encode([query.text])[0]
        order = [row for row in np.argsort(-near, kind="stable") if right[row].any()][: self.n_examples]
        told: list[str] = []
        for row in reversed(order):  # the nearest one last, beside the question
            costs = np.where(right[row], self.examples.costs[columns], np.inf)
            best = int(costs.argmin()) if np.isfinite(costs).any() else int(right[row].argmax())
            told.append(f"Question: {self.examples.texts[row]}\nRight: {allowed[best]}")
        if not told:
            return []
        return [HumanMessage("Some questions, and the cheapest that was right:\n\n" + "\n\n".join(told))]

    def _encoder_identity(self) -> dict[str, Any] | None:
        return self.encoder.identity()

    def _facts(self) -> dict[str, Any]:
        facts = {**super()._facts(), "texts": list(self.examples.texts)}
        # the arrays have a column for every pair, also for those that it is restricted from
        return {**facts, DESCRIBED_FACT: [self.described[pair] for pair in self._pairs]}

    def _arrays(self) -> dict[str, Any]:
        columns = [self._columns[pair] for pair in self._pairs]
        return {
            "vectors": self.examples.vectors,
            "right": self.examples.right[:, columns].astype(np.uint8),
            "costs": self.examples.costs[columns],
        }

    @classmethod
    def _rebuilt(
        cls, model: Servable | None, described: dict[Pair, str], artifact: Artifact, encoder: Encoder | None
    ) -> Self:
        arrays, texts = artifact.arrays, tuple(map(str, artifact.facts["texts"]))
        if len(texts) != len(arrays["vectors"]):
            raise ValueError("its examples and their vectors don't fit together")
        examples = Examples(texts, arrays["vectors"], arrays["right"].astype(bool), arrays["costs"])
        return cls(model, described, examples, encoder=encoder, **artifact.settings)


def _schema(allowed: Sequence[Pair]) -> dict[str, Any]:
    fields = {"name": {"type": "string", "enum": list(map(str, allowed))}}
    schema = {"type": "object", "properties": fields, "required": ["name"], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "choice", "schema": schema, "strict": True}}


def _shortened(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARS else f"{text[: _EXAMPLE_CHARS - 4]} ..."


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingError(f"{name} is {value!r}; it must be a whole number from 1.")
    return value
