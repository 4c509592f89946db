"""The requests of chaos.py, and what they go through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from chaos_failures import FAILURES, FINE, MODELS, WITH_TOOLS
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.graph import END, START, StateGraph

from langchain_atlas import (
    NO_TOOL,
    AtlasMiddleware,
    AtlasNode,
    ChatAtlas,
    ClusterRouter,
    LiveExecutor,
    Model,
    OutcomeTable,
    Pool,
    Tool,
    create_atlas_graph,
)
from langchain_atlas.errors import SettingError, suggest
from langchain_atlas.integrations.graphs.graph import AtlasState
from langchain_atlas.testing import FakeEncoder

REFUSED = "connection-refused"
"""The failure that no server can make: nobody listens at the port."""
KEY_VARIABLE = "ATLAS_CHAOS_KEY"
"""The environment variable with the key."""
PRICE = 1e-6
CALL_USD = 0.001
"""What a call costs; see `chaos_provider.USAGE`."""
TIMEOUT_S = 1.0
RETRIES = 1
FAILOVERS = 2
MAX_TURNS = 4
MAX_LATENCY_S = 4.0
MAX_COST_USD = 2.5 * CALL_USD
RECURSION_LIMIT = 12
ROUNDS = 4
"""Most rounds of tool calls in one run of a pair: the default of `native`."""
INTEGRATIONS = ("node", "graph", "chat model", "middleware")
WAYS = ("invoke", "stream", "ainvoke", "astream")


@dataclass(frozen=True)
class Request:
    """One request."""

    number: int
    """Its number."""
    failure: str
    """How the provider fails."""
    integration: str
    """What it goes through."""
    way: str
    """How that is called."""
    broken: int
    """How many of the three pairs fail."""
    limited: bool
    """Whether it has a limit in dollars, which is two calls and a half."""

    @property
    def text(self) -> str:
        """The question, with the mark that the provider reads."""
        does = [self.failure if number < self.broken else FINE for number in range(len(MODELS))]
        does = [FINE if name == REFUSED else name for name in does]
        return f"Say fine. [chaos {self.number} {' '.join(does)}]"

    @property
    def settings(self) -> dict[str, Any]:
        """What the run sets."""
        names = [f"nobody{i}" if self.failure == REFUSED and i < self.broken else name for i, name in enumerate(MODELS)]
        tool = "double" if self.failure in WITH_TOOLS else "none"
        limits = {"max_cost_usd": MAX_COST_USD} if self.limited else {}
        return {"pairs": [f"{name}@@{tool}" for name in names], "max_latency_s": MAX_LATENCY_S, **limits}

    @property
    def most_calls(self) -> int:
        """Most calls of the provider that its settings allow."""
        turns = FAILOVERS + 1
        if self.failure not in WITH_TOOLS:
            return turns * (1 + RETRIES)
        if self.integration == "middleware":
            return (RECURSION_LIMIT // 2 + 1 + turns) * (1 + RETRIES)
        return turns * (ROUNDS + 1) * (1 + RETRIES)


def planned(count: int, only: str | None = None) -> list[Request]:
    """Return the requests: failures in turn, and each in another way than the time before.

    Args:
        count: how many.
        only: one failure's name; None for all.

    Raises:
        SettingError: there is no such failure.
    """
    names = [*FAILURES, REFUSED]
    if only is not None and only not in names:
        raise SettingError(f"The failure is {only!r}. {suggest(only, names, limit=100)}")
    names = names if only is None else [only]
    manners = list(itertools.product(INTEGRATIONS, WAYS, (len(MODELS), 2, len(MODELS), 1)))
    requests = []
    for number in range(count):
        turn, place = divmod(number, len(names))
        # 27 shares no divisor with the 64 manners, so that every failure meets all of them in time.
        integration, way, broken = manners[(turn * 27 + place * 5) % len(manners)]
        requests.append(Request(number + 1, names[place], integration, way, broken, limited=number % 3 == 0))
    return requests


class Integrations:
    """What requests go through: what is asked, and how what comes back is read.

    Args:
        url: where the provider is.
        closed: where nobody listens.
    """

    def __init__(self, url: str, closed: str) -> None:
        names = [*MODELS, *(f"nobody{number}" for number in range(len(MODELS)))]
        models = tuple(_model(name, closed if name.startswith("nobody") else url) for name in names)
        pool = Pool(models=models, tools=(NO_TOOL, Tool(name="double", tools=(double,))))
        executor = LiveExecutor(pool, timeout_s=TIMEOUT_S, retries=RETRIES)
        router = ClusterRouter(FakeEncoder(), n_clusters=1, failovers=FAILOVERS, cost_weight=0.0).fit(_outcomes(pool))
        builder = StateGraph(AtlasState)
        builder.add_node("answer", AtlasNode(router, executor, max_turns=MAX_TURNS))
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        middleware = AtlasMiddleware(router, executor, fail_open=False, max_turns=MAX_TURNS)
        self._runnables: dict[str, Any] = {
            "node": builder.compile(),
            "graph": create_atlas_graph(router, executor, max_turns=MAX_TURNS).compile(),
            "chat model": ChatAtlas(router=router, executor=executor, max_turns=MAX_TURNS),
            "middleware": create_agent(executor.chat_model("first"), middleware=[middleware]),
        }
        for name in names:
            executor.chat_model(name)

    def ask(self, request: Request) -> Any:
        """Ask in the foreground."""
        runnable, asked, config = self._prepared(request)
        if request.way == "invoke":
            return runnable.invoke(asked, config)
        return _joined(list(runnable.stream(asked, config, **_modes(request))))

    async def aask(self, request: Request) -> Any:
        """Ask on the event loop."""
        runnable, asked, config = self._prepared(request)
        if request.way == "ainvoke":
            return await runnable.ainvoke(asked, config)
        return _joined([part async for part in runnable.astream(asked, config, **_modes(request))])

    def _prepared(self, request: Request) -> tuple[Any, Any, dict[str, Any]]:
        config = {"configurable": request.settings, "recursion_limit": RECURSION_LIMIT}
        messages = [HumanMessage(request.text)]
        asked: Any = messages if request.integration == "chat model" else {"messages": messages}
        return self._runnables[request.integration], asked, config


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def _model(name: str, url: str) -> Model:
    return Model(
        name=name,
        litellm=f"openai/{name}",
        options={"api_base": f"{url}/v1"},
        api_key_env=KEY_VARIABLE,
        input_cost_per_token=PRICE,
        output_cost_per_token=PRICE,
    )


def _outcomes(pool: Pool) -> OutcomeTable:
    """Return outcomes by which ``first`` is better than ``second``, and that than ``third``."""
    rows = [
        {
            "query_id": f"q{number}",
            "query": f"question {number}",
            "domain": "all",
            "model": pair.model,
            "tool": pair.tool,
            "score": float(number < 20 - 4 * (place // 2 % len(MODELS))),
            "cost_usd": CALL_USD,
            "latency_s": 0.1,
        }
        for place, pair in enumerate(pool.pairs)
        for number in range(20)
    ]
    return OutcomeTable.from_rows(rows, "the benchmark")


def _modes(request: Request) -> dict[str, Any]:
    return {} if request.integration == "chat model" else {"stream_mode": ["messages", "values", "custom"]}


def _joined(parts: list[Any]) -> Any:
    """Return a message made of chunks, or the last state of a graph; without either, nothing."""
    if parts and isinstance(parts[0], BaseMessage):
        whole = parts[0]
        for part in parts[1:]:
            whole += part
        return whole
    states = [value for mode, value in parts if mode == "values"]
    return states[-1] if states else None
