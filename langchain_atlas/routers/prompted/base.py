"""What routers have in common that ask a language model: its calls, what they cost, and how they are saved."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.errors import ConstraintError, SettingError
from langchain_atlas.pool.pool import Model, Pair, Pool
from langchain_atlas.privacy import check_model
from langchain_atlas.routers.base import Router, shared_pairs, some
from langchain_atlas.routers.prompted.describing import pool_of
from langchain_atlas.routers.prompted.hugging_face import PolicyWeights
from langchain_atlas.routers.prompted.serving import Served
from langchain_atlas.routers.saved.artifact import Artifact, write_artifact
from langchain_atlas.trajectory import START, Decision, Query, Trajectory
from langchain_atlas.usage import Spending, Usage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from langchain_core.messages import AIMessage, BaseMessage

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.routers.prompted.protocols import Asking
    from langchain_atlas.routers.prompted.serving import Servable

    AskingModel = Generator[tuple[list[BaseMessage], Asking], AIMessage, Decision]
    """Yields what is asked of the language model, receives its reply, returns the decision."""

MODEL_FACT = "model"
DESCRIBED_FACT = "described"
WEIGHTS_FACT = "weights"
_WEIGHT = "weights."


class ModelRouter(Router):
    """Asks a language model what to do; every reply is counted in the decision's `spent`.

    Args:
        chat_model: a `Model`, which LiteLLM reaches (any provider, an OpenAI-compatible endpoint such as vLLM, or an
            embedded model) and which is saved with the router; `PolicyWeights`, which training made; or any LangChain
            chat model.
        described: what the model is told of each pair it may choose; see `describe_pairs` and `pool_descriptions`.
    """

    def __init__(self, chat_model: Servable | None, described: Mapping[Pair, str]) -> None:
        if not described:
            raise SettingError("The router needs at least one pair to choose from; 'described' is empty.")
        self._served = Served(chat_model)
        self.described = dict(described)
        self._pairs = tuple(self.described)

    @property
    def chat_model(self) -> Servable | None:
        """The language model that decides."""
        return self._served.model

    def with_chat_model(self, chat_model: Servable) -> Self:
        """Return the router with another language model."""
        changed = copy.copy(self)
        changed._served = Served(chat_model)  # noqa: SLF001  # its own copy
        return changed

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self._pairs

    @property
    def pool(self) -> Pool:
        """A pool of its pairs; nothing in it can be run."""
        return pool_of(self._pairs)

    def restrict(self, pairs: Iterable[Pair | str]) -> Self:
        """Return a router that chooses only from these of its pairs.

        Raises:
            PoolError: none of them is one of its pairs.
        """
        smaller = copy.copy(self)
        vars(smaller)["_pairs"] = shared_pairs(self._pairs, pairs)
        return smaller

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Call the model for the next step; see `Router.decide`."""
        asking, spent = self._asking(query, trajectory), _Spent()
        self._check_sight(query)
        try:
            messages, how = next(asking)
            while True:
                reply = self._caller(how).invoke(messages, **how.options)
                messages, how = asking.send(spent.add(reply, self._served.record))
        except StopIteration as end:
            return spent.told(end.value)

    async def adecide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Do what `decide` does on the event loop."""
        asking, spent = self._asking(query, trajectory), _Spent()
        self._check_sight(query)
        try:
            messages, how = next(asking)
            while True:
                reply = await self._caller(how).ainvoke(messages, **how.options)
                messages, how = asking.send(spent.add(reply, self._served.record))
        except StopIteration as end:
            return spent.told(end.value)

    @abstractmethod
    def _asking(self, query: Query, trajectory: Trajectory) -> AskingModel:
        """Yield what to ask the model for the next step, and return the decision."""

    def _check_sight(self, query: Query) -> None:
        """Make sure that the model may see a query.

        Raises:
            LimitError: it may not.
        """
        if self._served.weights is None:
            check_model(query, self._served.model, "the router's model")

    def _caller(self, how: Asking) -> Any:
        model = self._served.chat_model()
        return model.bind_tools([dict(one) for one in how.functions], tool_choice="any") if how.functions else model

    def _allowed(self, query: Query) -> tuple[Pair, ...]:
        """Return the pairs that the query allows.

        Raises:
            ConstraintError: it allows none.
        """
        wanted = query.constraints.pairs
        allowed = tuple(pair for pair in self._pairs if wanted is None or pair in wanted)
        if not allowed:
            raise ConstraintError(f"The query allows none of the router's pairs; the router has {some(self._pairs)}.")
        return allowed

    def _told(self, pairs: Sequence[Pair]) -> dict[Pair, str]:
        return {pair: self.described[pair] for pair in pairs}

    def _facts(self) -> dict[str, Any]:
        """Return what is saved beside settings and pairs."""
        record, weights = self._served.record, self._served.weights
        facts: dict[str, Any] = {
            DESCRIBED_FACT: [self.described[pair] for pair in self._pairs],
            MODEL_FACT: None if record is None else record.to_json(),
        }
        if weights is not None:
            facts[WEIGHTS_FACT] = {"base": weights.base, "scale": weights.scale, "max_step": weights.max_step}
        return facts

    def save(self, folder: str | Path) -> None:
        """Write the router to a folder; see `Router.save`.

        A `Model` is saved as it is in a pool, without its key. A LangChain chat model is not: give the loaded router
        one with `with_chat_model`.
        """
        write_artifact(
            folder,
            Artifact(
                kind=self.kind,
                pairs=self._pairs,
                encoder=self._encoder_identity(),
                settings=dict(self.settings),
                facts=self._facts(),
                arrays={**self._arrays(), **self._weights()},
                fitted_on=self.fitted_on,
            ),
        )

    def _encoder_identity(self) -> dict[str, Any] | None:
        return None

    def _arrays(self) -> dict[str, Any]:
        return {}

    def _weights(self) -> dict[str, Any]:
        weights = self._served.weights
        return {} if weights is None else {_WEIGHT + name: array for name, array in weights.arrays.items()}

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote."""
        told = artifact.facts[DESCRIBED_FACT]
        if len(told) != len(artifact.pairs) or not all(isinstance(text, str) for text in told):
            raise ValueError("its pairs and their descriptions don't fit together")
        record, trained = artifact.facts[MODEL_FACT], artifact.facts.get(WEIGHTS_FACT)
        model: Servable | None = None if record is None else Model.from_json(record)
        if trained is not None:
            arrays = {name: array for name, array in artifact.arrays.items() if name.startswith(_WEIGHT)}
            named = {name.removeprefix(_WEIGHT): array for name, array in arrays.items()}
            model = PolicyWeights(trained["base"], trained["scale"], named, trained["max_step"])
        return cls._rebuilt(
            model,
            dict(zip(artifact.pairs, told, strict=True)),
            artifact,
            encoder,
        )

    @classmethod
    @abstractmethod
    def _rebuilt(
        cls, model: Servable | None, described: dict[Pair, str], artifact: Artifact, encoder: Encoder | None
    ) -> Self:
        """Rebuild the router from its model, its pairs' descriptions, and the rest of the artifact."""


class _Spent:
    """Adds up what replies took."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.cost: float | None = 0.0

    def add(self, reply: AIMessage, model: Model | None) -> AIMessage:
        bill = billed(reply, model)
        self.usage = bill.usage if self.usage is None else self.usage + bill.usage
        self.cost = add_known(self.cost, bill.cost_usd)
        return reply

    def told(self, decision: Decision) -> Decision:
        if self.usage is None:
            return decision
        return decision.replace(spent=Spending(usage=self.usage, cost_usd=self.cost))
