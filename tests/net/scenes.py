"""What happens in the recorded runs: routers that do as they are told, and what the provider says to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.types import interrupt

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pair, Pool, Tool
from langchain_atlas.errors import ConstraintError
from langchain_atlas.routers.base import Router, last_answer
from langchain_atlas.testing import Failure, call_tool
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.testing import OpenAIServer

KEY = "secret"
"""The key that requests carry; see the fixture ``serve``."""
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool
def permit(text: str) -> str:
    """Ask a human."""
    return str(interrupt(text))


class InTurn(Router):
    """Tries pairs in turn until one answers; those that a query does not allow are passed over.

    Args:
        pairs: the pairs.
        calls: how many answers it wants before it gives the first of them.
        thoughts: how often it thinks before the first call.
        asks: what it has the pairs asked in place of the query.
        known: which pairs it says it chooses from; those it tries when left out.
    """

    def __init__(
        self,
        *pairs: str,
        calls: int = 1,
        thoughts: int = 0,
        asks: str | None = None,
        known: tuple[str, ...] | None = None,
    ) -> None:
        self._tries = tuple(map(Pair.parse, pairs))
        self._known = self._tries if known is None else tuple(map(Pair.parse, known))
        self._calls = calls
        self._thoughts = thoughts
        self._asks = asks

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide; see `Router.decide`."""
        if len(trajectory.steps) < self._thoughts:
            return Decision(kind="think", answer="Hm.", rule="net")
        answered = [number for number, step in enumerate(trajectory.steps) if step.observation and _good(step)]
        if len(answered) >= self._calls:
            seen = trajectory.steps[answered[0]].observation
            assert seen is not None
            return Decision(kind="answer", answer=seen.answer, source=answered[0], rule="net")
        wanted = query.constraints.pairs
        allowed = [pair for pair in self._tries if wanted is None or pair in wanted]
        if not allowed:
            raise ConstraintError("The query allows none of them.")
        if trajectory.calls >= len(allowed):
            return last_answer(trajectory, rule="net", reason="All were tried.")
        pair = allowed[trajectory.calls]
        chosen = Candidate(pair=pair, expected_success=0.5, expected_cost_usd=0.01, utility=0.5)
        return Decision(kind="route", pair=pair, input=self._asks, chosen=chosen, rule="net", reason="Its turn.")

    @property
    def takes_first_answer(self) -> bool:
        """Whether one answer is enough."""
        return self._calls == 1

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs it chooses from."""
        return self._known


class Restless(Router):
    """Always wants another call of the same pair."""

    pairs = (Pair("small"),)

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        """Decide; see `Router.decide`."""
        return Decision(kind="route", pair=self.pairs[0], rule="restless")


class Unable(Router):
    """Can't decide."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        """Decide; see `Router.decide`."""
        raise RuntimeError(f"the encoder is gone, and its key {KEY} with it")


def _good(step: Any) -> bool:
    return not step.observation.failed


def heard(body: dict[str, Any]) -> Any:
    """Say which model was asked what; with a tool on offer, call it first."""
    last = body["messages"][-1]
    if "tools" in body and last["role"] == "user":
        return {"content": "One moment.", "tool_calls": [call_tool("double", {"number": 21})]}
    said = last["content"] if isinstance(last["content"], str) else last["content"][0]["text"]
    return f"{body['model']} heard {said}"


def without_small(body: dict[str, Any]) -> Any:
    """Refuse what is asked of the small model, and repeat the key in the refusal."""
    return Failure(400, f"wrong key {KEY}") if body["model"] == "small" else heard(body)


def computing(body: dict[str, Any]) -> Any:
    """Give a name a value in the first of two runs, and use it in the second."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"it printed {last['content']}"
    code = "x + 1" if "again" in str(last["content"]) else "x = 20"
    return {"content": None, "tool_calls": [call_tool("python", {"code": code})]}


def asking_a_human(body: dict[str, Any]) -> Any:
    """Call the tool that asks a human, and then say what the human said."""
    last = body["messages"][-1]
    return last["content"] if last["role"] == "tool" else {"tool_calls": [call_tool("permit", {"text": "may I?"})]}


class Again(InTurn):
    """Asks one pair twice, the second time with other words."""

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:  # noqa: ARG002
        """Decide; see `Router.decide`."""
        if trajectory.calls > 1:
            return last_answer(trajectory, rule="net", reason="Twice.")
        return Decision(kind="route", pair=self.pairs[0], input="again" if trajectory.calls else "first", rule="net")

    @property
    def takes_first_answer(self) -> bool:
        """Whether one answer is enough: no."""
        return False


@dataclass(frozen=True)
class Scene:
    """One run that is recorded of every integration that can take part in it."""

    router: Callable[[], Router]
    """Makes the router."""
    reply: Callable[[dict[str, Any]], Any] = heard
    """What the provider says."""
    content: Any = "hello"
    """What is asked."""
    tools: tuple[Tool, ...] = (NO_TOOL, Tool(name="calculator", tools=(double,)))
    """The pool's tools."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the run sets; see `AtlasContext`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the integration, such as ``max_turns``."""
    resume: tuple[Any, ...] = ()
    """What a human says, one by one, where the run is interrupted."""
    only: tuple[str, ...] = ()
    """The integrations that take part; all when empty."""

    @property
    def message(self) -> HumanMessage:
        """What is asked, as a message."""
        return HumanMessage(self.content, id="ask")

    def executor(self, server: OpenAIServer) -> LiveExecutor:
        """Make the executor: a small and a large model, the large one sees."""
        models = tuple(
            Model(
                name=name,
                litellm=f"openai/{name}",
                api_key_env="ATLAS_TEST_KEY",
                options={"api_base": server.url},
                input_cost_per_token=price,
                output_cost_per_token=price,
                modalities=frozenset({"text", *extra}),
            )
            for name, price, extra in (("small", 1e-6, ()), ("large", 1e-4, ("image",)))
        )
        return LiveExecutor(Pool(models=models, tools=self.tools), retries=0)


SMALL, LARGE, COUNTING = "small@@none", "large@@none", "large@@calculator"
PICTURE = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
GRAPHS = ("node", "durable node", "graph")
TAKING_A_PAIR = (*GRAPHS, "chat model", "chain")

PYTHON = Tool(name="python", use="python", arguments={"stateful": True})

SCENES: dict[str, Scene] = {
    "answered": Scene(lambda: InTurn(SMALL)),
    "answered with a tool": Scene(lambda: InTurn(COUNTING)),
    "failed over": Scene(lambda: InTurn(SMALL, LARGE), without_small),
    "every call failed": Scene(lambda: InTurn(SMALL), without_small),
    "a thought and other words": Scene(lambda: InTurn(LARGE, thoughts=1, asks="other words")),
    "the first of two answers": Scene(lambda: InTurn(SMALL, LARGE, calls=2)),
    "out of turns": Scene(Restless, options={"max_turns": 2}),
    "out of turns without an answer": Scene(Restless, without_small, options={"max_turns": 2}),
    "other pairs allowed": Scene(lambda: InTurn(SMALL, LARGE), settings={"pairs": [LARGE]}),
    "no pair allowed": Scene(lambda: InTurn(SMALL), settings={"pairs": [LARGE]}),
    "the router fails": Scene(Unable),
    "a pair stands in": Scene(Unable, options={"on_router_error": SMALL}, only=TAKING_A_PAIR),
    "an image for whom sees": Scene(lambda: InTurn(SMALL, LARGE), content=PICTURE),
    "an image for a router of a text model": Scene(lambda: InTurn(SMALL), content=PICTURE),
    "a tool that looks, and no image": Scene(
        lambda: InTurn("large@@chart", LARGE), tools=(NO_TOOL, Tool(name="chart", invocation="chart"))
    ),
    "a tool that keeps state": Scene(lambda: Again("large@@python"), computing, tools=(PYTHON,)),
    "a tool interrupts": Scene(
        lambda: InTurn("large@@human"),
        asking_a_human,
        tools=(Tool(name="human", tools=(permit,)),),
        resume=("you may",),
        only=(*GRAPHS, "middleware"),
    ),
    "a human approves": Scene(
        lambda: InTurn(SMALL, LARGE), without_small, options={"approve": 0.0}, resume=(True, True), only=GRAPHS
    ),
    "a human sends it elsewhere": Scene(lambda: InTurn(SMALL), options={"approve": 0.0}, resume=(LARGE,), only=GRAPHS),
    "a human refuses": Scene(lambda: InTurn(SMALL), options={"approve": 0.0}, resume=(False,), only=GRAPHS),
}
