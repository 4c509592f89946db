"""Threads of easy and hard questions with two models, whose provider charges less for what it has cached."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import HumanMessage, SystemMessage

from langchain_atlas import ChatAtlas, LiveExecutor, Model, Pair, Pool, Router, StayingRouter
from langchain_atlas.errors import ConstraintError
from langchain_atlas.testing import OpenAIServer, PromptCache
from langchain_atlas.trajectory import START, Candidate, Decision, Query, Trajectory, last_answer

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "ATLAS_THREADS_KEY"
"""Environment variable of the provider's key, which is none."""
VALUE = 0.02
"""Dollars that a right answer is worth."""
PRICES = {"small": (1e-6, 1e-7, 2e-6), "large": (1e-5, 1e-6, 2e-5)}
"""Dollars per token read, read from the cache, and written."""


class Clock:
    """Tells a time that only its owner moves."""

    def __init__(self) -> None:
        self.seconds = 1e9

    def __call__(self) -> float:
        """Tell the time, in seconds."""
        return self.seconds


class Rated(Router):
    """Knows that both models answer easy questions, and the large one alone hard ones."""

    success: ClassVar[dict[str, dict[str, float]]] = {
        "easy": {"small": 0.97, "large": 0.97},
        "hard": {"small": 0.05, "large": 0.97},
    }
    pairs = (Pair("small"), Pair("large"))
    takes_first_answer = True
    settings: ClassVar[dict[str, float]] = {"value_usd": VALUE}

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Route once, to the pair that is worth most for the question."""
        if trajectory.steps:
            return last_answer(trajectory, rule="rated", reason="")
        success, cost = self.success["hard" if "theorem" in query.text else "easy"], {"small": 1.3e-4, "large": 1.3e-3}
        allowed = [pair for pair in self.pairs if query.constraints.pairs is None or pair in query.constraints.pairs]
        if not allowed:
            raise ConstraintError("no pair is left")
        weight = 1.0 if query.cost_weight is None else 1 - query.cost_weight
        candidates = [
            Candidate(
                pair=pair,
                expected_success=success[pair.model],
                expected_cost_usd=cost[pair.model],
                utility=VALUE * success[pair.model] - weight * cost[pair.model],
            )
            for pair in allowed
        ]
        best, *rest = sorted(candidates, key=lambda one: -(one.utility or 0))
        return Decision(kind="route", pair=best.pair, rule="rated", chosen=best, runner_up=rest[0] if rest else None)


def asking(kind: str, number: int) -> str:
    """Return an easy question (``E``) or a hard one (``H``)."""
    return f"prove the theorem about thing {number}" if kind == "H" else f"what is the capital of thing {number}"


def replies(clock: Callable[[], float], *, caches: bool = True) -> Callable[[dict[str, Any]], Any]:
    """Return the script of a provider with a prompt cache; only its large model answers hard questions right."""
    cache = PromptCache(clock=clock)

    def reply(body: dict[str, Any]) -> Any:
        hard = "theorem" in str(body["messages"][-1]["content"])
        text = ("wrong" if hard and body["model"] == "small" else "right") + " words" * 60
        usage = cache.usage(body, text)
        if not caches:
            usage["prompt_tokens_details"]["cached_tokens"] = 0
        return {"content": text, "usage": usage}

    return reply


def pool_at(server: OpenAIServer) -> Pool:
    """Return the pool of the two models, reached at a server."""
    os.environ.setdefault(KEY, "none")
    models = tuple(
        Model(
            name=name,
            litellm=f"openai/{name}",
            options={"api_base": server.url},
            api_key_env=KEY,
            input_cost_per_token=full,
            cached_input_cost_per_token=cached,
            output_cost_per_token=written,
        )
        for name, (full, cached, written) in PRICES.items()
    )
    return Pool(models=models)


@dataclass(frozen=True)
class Billed:
    """What a thread cost."""

    usd: float
    """Dollars billed."""
    wrong: int
    """Wrong answers."""
    pairs: str
    """First letter of the model of every turn."""
    decisions: list[dict[str, Any]]
    """The decisions."""

    @property
    def total(self) -> float:
        """Dollars, with those that the wrong answers would have been worth."""
        return self.usd + VALUE * self.wrong


def billed_thread(kinds: str, way: str, *, gap_s: float = 60, caches: bool = True, thread_turns: int = 20) -> Billed:
    """Lead a thread over HTTP.

    Args:
        kinds: ``E`` or ``H`` for every turn.
        way: ``stay`` with the first pair, always the ``best`` one for the question, or ``staying``.
        gap_s: seconds from turn to turn.
        caches: whether the provider caches.
        thread_turns: number of turns that `StayingRouter` is told to expect.
    """
    clock = Clock()
    with OpenAIServer(replies(clock, caches=caches)) as server:
        pool = pool_at(server)
        router: Router = Rated()
        if way == "staying":
            router = StayingRouter(router, pool, thread_turns=thread_turns, clock=clock)
        chat = ChatAtlas(router=router, executor=LiveExecutor(pool, retries=0))
        messages: list[Any] = [SystemMessage("word " * 3000)]
        usd, wrong = 0.0, 0
        decisions: list[dict[str, Any]] = []
        for number, kind in enumerate(kinds):
            clock.seconds += gap_s
            messages.append(HumanMessage(asking(kind, number)))
            kept: Any = {"pairs": [decisions[0]["pair"]]} if decisions and way == "stay" else {}
            reply = chat.invoke(messages, **kept)
            record = reply.response_metadata["atlas"]
            usd += record["cost_usd"]
            wrong += reply.text.startswith("wrong")
            decisions.append(record["steps"][0]["decision"])
            messages.append(reply)
    return Billed(usd, wrong, "".join(one["pair"][0] for one in decisions), decisions)
