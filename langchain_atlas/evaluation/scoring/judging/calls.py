"""The calls of a judge: planned, within a limit of dollars, several at once, with replies kept on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.errors import SettingError, WritingError
from langchain_atlas.evaluation.scoring.judging.reply_cache import ReplyCache, reply_key
from langchain_atlas.execution.models.chat_models import build_chat_model, check_key, remember_keys
from langchain_atlas.masking import error_text
from langchain_atlas.pool.parameters import taken
from langchain_atlas.pool.pool import Model
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from langchain_atlas.progress import Progress

_CHARACTERS_PER_TOKEN = 4
_OUTPUT_TOKENS = 60
"""Tokens of a reply, until replies show how many they have."""
_MOST_FAILURES = 8
"""After this many failed calls without a reply in between, no more are started."""


class JudgePlan(Record):
    """What a judge will do."""

    calls: int
    """Number of calls."""
    cached: int
    """Number of replies that are known already, and cost nothing."""
    cost_usd: float | None
    """About how many dollars the calls cost; None if the price is unknown."""

    def __str__(self) -> str:
        known = f"; {self.cached} replies are known already" if self.cached else ""
        if not self.calls:
            return f"The judge has nothing to do{known}."
        cost = "at an unknown cost" if self.cost_usd is None else f"for about ${self.cost_usd:.2g}"
        return f"The judge makes {self.calls} calls {cost}{known}."


OnPlan = Callable[[JudgePlan], bool | None]
"""Called with the plan before the first call; returning False stops there."""


@dataclass(frozen=True)
class Call:
    """One call of the judge."""

    messages: Sequence[BaseMessage]
    """What it is sent."""
    usable: Callable[[str], bool]
    """Whether a reply can be read."""


@dataclass
class _Spending:
    """Dollars spent, and set aside for calls that run."""

    most: float | None
    spent: float = 0.0
    reserved: float = 0.0
    costs: list[float | None] = field(default_factory=list)

    def reserve(self, cost: float | None) -> bool:
        if self.most is None or cost is None:
            return True
        if self.spent + self.reserved + cost > self.most:
            return False
        self.reserved += cost
        return True

    def settle(self, expected: float | None, cost: float | None) -> None:
        if self.most is not None and expected is not None:
            self.reserved -= expected
        self.costs.append(cost)
        self.spent += (expected if cost is None else cost) or 0.0


class JudgeCalls:
    """Calls a judge's model. Use it as a context manager; leaving it closes the file of replies.

    Args:
        model: the judge's model, or a LangChain chat model.
        name: its name; by default the model's.
        cache: file of replies; None keeps them in memory.
        max_cost_usd: no call is started that may exceed these dollars.
        concurrency: maximum number of calls at once.
        timeout_s: seconds that one call may take.
        retries: how often a call that failed for a transient reason is repeated.
        repeat_failed: make a call again if its kept reply can't be read.

    Raises:
        SettingError: a setting is out of range, or there is a limit and no price to keep it by.
        PoolError: the model's key variable is not set.
    """

    def __init__(
        self,
        model: Model | BaseChatModel,
        *,
        name: str | None,
        cache: str | Path | None,
        max_cost_usd: float | None,
        concurrency: int,
        timeout_s: float,
        retries: int,
        repeat_failed: bool,
    ) -> None:
        if concurrency < 1 or timeout_s <= 0 or retries < 0:
            raise SettingError(
                f"concurrency is {concurrency!r}, timeout_s {timeout_s!r} and retries {retries!r}; they must be from "
                "1, above 0 and from 0."
            )
        if max_cost_usd is not None and not max_cost_usd >= 0:
            raise SettingError(f"max_cost_usd is {max_cost_usd!r}; it must be a number from 0, or None for no limit.")
        self._model = model if isinstance(model, Model) else None
        self._chat_model = None if isinstance(model, Model) else model
        self.name = name or _name_of(model)
        if self._model is not None:
            check_key(self._model)
        elif self._chat_model is not None:
            remember_keys(self._chat_model)
        if max_cost_usd is not None and (self._model is None or self._model.price(1, 1) is None):
            raise SettingError(
                f"The price of the judge {self.name!r} is unknown, so the limit of ${max_cost_usd:g} can't be kept. "
                "Give input_cost_per_token and output_cost_per_token in a pool file (--pool), or leave out the limit."
            )
        self._cache_path = cache
        self._cache: ReplyCache | None = None
        self._concurrency, self._timeout_s, self._retries = concurrency, timeout_s, retries
        self._repeat_failed = repeat_failed
        self._spending = _Spending(max_cost_usd)
        self._lock = threading.Lock()
        self._cached = self._planned = self._failed = self._in_a_row = 0
        self._written: list[int] = []
        self._error = self._stopped = ""

    def __enter__(self) -> Self:
        self._cache = ReplyCache(self._cache_path)
        return self

    def __exit__(self, *error: object) -> None:
        if self._cache is not None:
            self._cache.close()

    def plan(self, calls: Sequence[Call]) -> JudgePlan:
        """Return how many of these calls must be made, and about what they cost."""
        cache = self._cache or ReplyCache(self._cache_path)
        left = {
            key: call for key, call in zip(self._keys(calls), calls, strict=True) if not self._known(cache, key, call)
        }
        cost: float | None = 0.0
        for call in left.values():
            cost = add_known(cost, self._expected(call))
        return JudgePlan(calls=len(left), cached=len(calls) - len(left), cost_usd=cost)

    def replies(
        self, calls: Sequence[Call], *, progress: Progress | None = None, on_plan: OnPlan | None = None
    ) -> list[str | None]:
        """Make calls, and return the texts of their replies in the same order; None where there is none."""
        assert self._cache is not None  # noqa: S101  # entered as a context manager
        plan = self.plan(calls)
        self._planned, self._cached = plan.calls, plan.cached
        keys = self._keys(calls)
        if on_plan is not None and on_plan(plan) is False:
            self._stopped = "it was only planned"
        else:
            self._run(keys, calls, progress)
        return [self._cache.get(key) for key in keys]

    def done(self) -> dict[str, Any]:
        """Return the figures of `JudgeReport` that are about calls."""
        costs = self._spending.costs
        known = [cost for cost in costs if cost is not None]
        return {
            "calls": len(costs),
            "cached": self._cached,
            "planned": self._planned,
            "cost_usd": add_known(0.0, *costs),
            "known_cost_usd": sum(known),
            "unpriced": len(costs) - len(known),
            "failed": self._failed,
            "error": self._error,
            "stopped": self._stopped,
        }

    def _run(self, keys: Sequence[str], calls: Sequence[Call], progress: Progress | None) -> None:
        assert self._cache is not None  # noqa: S101  # as above
        todo = {key: call for key, call in zip(keys, calls, strict=True) if not self._known(self._cache, key, call)}
        jobs, done, total = iter(todo.items()), len(keys) - len(todo), len(keys)
        if not todo:
            return
        chat_model, options = self._built()

        def work() -> None:
            nonlocal done
            while True:
                with self._lock:
                    job = None if self._stopped else next(jobs, None)
                    expected = None if job is None else self._expected(job[1])
                    if job is not None and not self._spending.reserve(expected):
                        self._stopped = f"the next call could exceed the limit of ${self._spending.most:g}"
                        job = None
                if job is None:
                    return
                self._make(chat_model, options, *job, expected)
                with self._lock:
                    done += 1
                    if progress is not None:
                        progress(done, total)

        with ThreadPoolExecutor(min(self._concurrency, len(todo)), thread_name_prefix="judge") as threads:
            try:
                for worker in [threads.submit(work) for _ in range(min(self._concurrency, len(todo)))]:
                    worker.result()
            except BaseException:
                self._stopped = self._stopped or "it was interrupted"  # the workers end after their calls
                raise

    def _make(
        self, chat_model: BaseChatModel, options: dict[str, Any], key: str, call: Call, expected: float | None
    ) -> None:
        assert self._cache is not None  # noqa: S101  # as above
        try:
            reply: Any = chat_model.invoke(list(call.messages), **options)
        except Exception as error:  # noqa: BLE001  # one call that fails must not lose the others
            with self._lock:
                self._spending.settle(expected, None)
                self._failed += 1
                self._in_a_row += 1
                self._error = error_text(error)
                if self._in_a_row >= _MOST_FAILURES and not self._stopped:
                    self._stopped = f"{self._in_a_row} calls in a row failed"
            return
        bill = billed(reply, self._model)
        with self._lock:
            self._in_a_row = 0
            self._spending.settle(expected, bill.cost_usd)
            if bill.usage.output_tokens is not None:
                self._written.append(bill.usage.output_tokens)
        try:
            self._cache.put(key, str(reply.text), bill.cost_usd)
        except WritingError:
            self._stopped = self._stopped or "its replies can't be written"
            raise

    def _built(self) -> tuple[BaseChatModel, dict[str, Any]]:
        if self._chat_model is not None:
            return self._chat_model, {}
        assert self._model is not None  # noqa: S101  # one of both is given
        model = self._model
        chat_model = build_chat_model(model, timeout_s=self._timeout_s, retries=self._retries)
        steady = {} if "temperature" in model.options else {"temperature": 0.0}
        return chat_model, taken(model.litellm, steady, given=model.options, refuses=model.refuses)

    def _expected(self, call: Call) -> float | None:
        if self._model is None:
            return None
        read = sum(len(str(message.content)) for message in call.messages) // _CHARACTERS_PER_TOKEN
        written = sum(self._written) // len(self._written) + 1 if self._written else _OUTPUT_TOKENS
        return self._model.price(read, max(written, 1))

    def _known(self, cache: ReplyCache, key: str, call: Call) -> bool:
        reply = cache.get(key)
        return reply is not None and (not self._repeat_failed or call.usable(reply))

    def _keys(self, calls: Sequence[Call]) -> list[str]:
        model = self._model
        judge = {"name": self.name} if model is None else {"litellm": model.litellm, "options": model.options}
        return [reply_key(judge, call.messages) for call in calls]


def _name_of(model: Model | BaseChatModel) -> str:
    if isinstance(model, Model):
        return model.name
    named = (getattr(model, field, None) for field in ("model_name", "model", "model_id"))
    return next((name for name in named if isinstance(name, str) and name), type(model).__name__)
