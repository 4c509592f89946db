"""Profiling: run every pair of a pool on every query, or the runs that tell most; score the answers, record them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_atlas.amounts import add_known
from langchain_atlas.engines import LostUnitError, current_engine
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.evaluation.profiling.carrying_out import carried_out, live_executor
from langchain_atlas.evaluation.profiling.chosen_runs import ChosenRuns
from langchain_atlas.evaluation.profiling.plan import Expectation, ProfilePlan, plan_of
from langchain_atlas.evaluation.profiling.purse import Purse, spent_in
from langchain_atlas.outcomes.journal import Journal, Key
from langchain_atlas.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.engines import Host
    from langchain_atlas.evaluation.profiling.chosen_runs import Choosing
    from langchain_atlas.evaluation.profiling.queries import CheckableQuery
    from langchain_atlas.execution.base import Executor
    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.trajectory import Observation

OnOutcome = Callable[[int, int, dict[str, Any] | None], None]
"""Called with the number of recorded outcomes, of all wanted ones, and the newest; None before the first run."""

_FEWEST_AT_ONCE = 32
"""Least number of runs that are chosen together, before outcomes that came back meanwhile count."""
_MOST_LOST = 3
"""How often a run is made whose machine was lost each time."""

OnPlan = Callable[[ProfilePlan], bool | None]
"""Called with the plan before the first run; returning False stops there."""


class ProfileReport(Record):
    """What a call of `profile` did."""

    total: int
    """Number of outcomes wanted: queries times pairs."""
    done_before: int
    """Number of outcomes that were already recorded, and not repeated."""
    run_now: int
    """Number of outcomes that this call ran."""
    failed: int
    """Number of failed runs among all wanted outcomes, with score 0; `repeat_failed` runs them again."""
    cost_usd: float | None = None
    """Dollars of this call's runs; None when the cost of one is unknown."""
    known_cost_usd: float = 0.0
    """Dollars of this call's runs with a known cost."""
    unpriced: int = 0
    """Number of this call's runs with an unknown cost."""
    left: int = 0
    """Number of wanted outcomes that are not recorded because the call was stopped. The same call continues there."""
    stopped: str = ""
    """Why it was stopped; empty if everything was run."""

    @property
    def nothing_left(self) -> bool:
        """Whether everything was already recorded."""
        return self.run_now == 0


def profile(
    pool: Pool,
    queries: Sequence[CheckableQuery],
    out: str | Path,
    executor: Executor | None = None,
    *,
    concurrency: int = 4,
    repeat_failed: bool = False,
    progress: OnOutcome | None = None,
    max_cost_usd: float | None = None,
    on_plan: OnPlan | None = None,
    choosing: Choosing | None = None,
) -> ProfileReport:
    """Run every pair of a pool on every query, score the answers, and write the outcome table.

    Outcomes are recorded one by one in a journal next to the table. After a kill or Ctrl-C, the same call continues
    where it stopped. A run that fails is recorded with score 0 and its error. Outcomes of other queries and pairs in
    the table are kept.

    Args:
        pool: the pairs to run.
        queries: the queries; each needs an answer and a scorer.
        out: the outcome table, ``.parquet`` or ``.jsonl``; an existing one is completed.
        executor: runs the pairs; by default a `LiveExecutor` for the pool.
        concurrency: maximum number of runs at once.
        repeat_failed: run failed ones again; the new outcome replaces the old one.
        progress: called before the first run and after each; see `OnOutcome`.
        max_cost_usd: once this call has spent this many dollars, no more runs are started; running ones are completed,
            and all outcomes are written to the table. A run of unknown cost counts as its estimate; if there is no
            estimate, no run is started after it.
        on_plan: called before the first run; see `OnPlan`.
        choosing: make the most telling runs first, see `RunChooser`, and none that would pass its budget: a run is only
            started if what is spent, what the runs under way may cost, and what it may cost itself fit into it. What
            comes back decides what is run next.

    Raises:
        OutcomeError: there is no query, one lacks an answer or a scorer, two share an id, one is recorded under its id
            with another text, context or domain, the table can't be read, another run is writing to it, or a scoring
            function failed.
        SettingError: `concurrency` is below 1, a limit in dollars below 0, or an event loop is running; see `aprofile`.
    """
    with suppress(RuntimeError):  # that there is none, as it should be
        asyncio.get_running_loop()
        raise SettingError("profile() can't be called while an event loop is running; write 'await aprofile(...)'.")
    return asyncio.run(
        aprofile(
            pool,
            queries,
            out,
            executor,
            concurrency=concurrency,
            repeat_failed=repeat_failed,
            progress=progress,
            max_cost_usd=max_cost_usd,
            on_plan=on_plan,
            choosing=choosing,
        )
    )


async def aprofile(
    pool: Pool,
    queries: Sequence[CheckableQuery],
    out: str | Path,
    executor: Executor | None = None,
    *,
    concurrency: int = 4,
    repeat_failed: bool = False,
    progress: OnOutcome | None = None,
    max_cost_usd: float | None = None,
    on_plan: OnPlan | None = None,
    choosing: Choosing | None = None,
) -> ProfileReport:
    """Do what `profile` does on the running event loop; cancelling leaves the journal for the next call.

    The table is read and written on the loop itself: a cancelled call must not leave a thread behind that writes.
    """
    if concurrency < 1:
        raise SettingError(f"concurrency is {concurrency!r}; at least 1 run must be allowed at once.")
    if max_cost_usd is not None and not max_cost_usd >= 0:
        raise SettingError(f"max_cost_usd is {max_cost_usd!r}; it must be a number from 0, or None for no limit.")
    if choosing is not None and choosing.budget_usd is not None and not choosing.budget_usd >= 0:
        raise SettingError(f"budget_usd is {choosing.budget_usd!r}; it must be a number from 0, or None for no limit.")
    _check(queries)
    make = partial(live_executor, pool) if executor is None else lambda: executor
    async with current_engine().host(make) as host:
        with Journal(out) as journal:
            work = _Work(pool, queries, host, journal, repeat_failed=repeat_failed, progress=progress)
            work.max_cost_usd = max_cost_usd
            if choosing is not None:
                work.choose(choosing, concurrency)
            if on_plan is None or on_plan(work.plan()) is not False:
                await work.run(concurrency)
            else:
                work.stopped = "it was only planned"
            if len(journal):
                journal.merge(_key(item, pair) for item in queries for pair in pool.pairs)
            return work.report()


class _Work:
    """One call of `profile`: the remaining runs, and the results so far."""

    def __init__(
        self,
        pool: Pool,
        queries: Sequence[CheckableQuery],
        host: Host,
        journal: Journal,
        *,
        repeat_failed: bool,
        progress: OnOutcome | None,
    ) -> None:
        self._pairs, self._queries = pool.pairs, queries
        self._host = host
        self._journal = journal
        self._repeat_failed = repeat_failed
        self._progress = progress
        _check_recorded(queries, journal)
        self._total = len(self._pairs) * len(queries)
        self._done_before = self._total - sum(1 for _ in self._jobs())
        self._costs: list[float | None] = []
        self._expected = Expectation(pool, journal.rows())
        self._spent: float | None = 0.0  # includes the estimate of runs with an unknown cost
        self.max_cost_usd: float | None = None
        self.stopped = ""
        self._chosen: ChosenRuns | None = None
        self._purse: Purse | None = None
        self._batch = 0
        self._paid = asyncio.Condition()

    def choose(self, choosing: Choosing, concurrency: int) -> None:
        """Make the most telling runs first from now on."""
        self._chosen = ChosenRuns(self._pairs, self._queries, self._expected, choosing, self._is_needed)
        for row in self._journal.rows():
            failed = self._journal.failed((row["query_id"], row["model"], row["tool"]))
            if not (failed and self._repeat_failed):
                self._chosen.note(row)
        self._batch = max(_FEWEST_AT_ONCE, 2 * concurrency)
        if choosing.budget_usd is not None:
            self._purse = Purse(choosing.budget_usd, spent_in(self._journal.unfinished()))

    def plan(self) -> ProfilePlan:
        """Return what is left to do."""
        plan = plan_of(list(self._jobs()), self._expected)
        if self._chosen is None:
            return plan
        return plan.model_copy(update={"chosen": self._chosen.plan(None if self._purse is None else self._purse.left)})

    async def run(self, concurrency: int) -> None:
        """Run the remaining jobs: the most telling first, or query by query, so that pairs are always balanced."""
        self._tell(None)
        # Shared: each worker takes the next one, so no task waits in memory.
        jobs: Iterator[tuple[CheckableQuery, Pair] | None]
        jobs = self._jobs() if self._chosen is None else self._chosen_jobs(self._chosen)
        count = min(concurrency, self._total - self._done_before)
        workers = [asyncio.create_task(self._worker(jobs)) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _is_needed(self, item: CheckableQuery, pair: Pair) -> bool:
        key = _key(item, pair)
        return key not in self._journal or (self._repeat_failed and self._journal.failed(key))

    def _jobs(self) -> Iterator[tuple[CheckableQuery, Pair]]:
        for item in self._queries:
            for pair in self._pairs:
                if self._is_needed(item, pair):
                    yield item, pair

    def _chosen_jobs(self, chosen: ChosenRuns) -> Iterator[tuple[CheckableQuery, Pair] | None]:
        """Yield the most telling runs, chosen anew for each batch, as long as one fits into the budget.

        None means that the next one may fit once a run under way is paid for.
        """
        while batch := chosen.next(self._batch):
            started = 0
            for item, pair in batch:
                while (fits := self._fits(item, pair)) is None:
                    yield None
                if fits:
                    started += 1
                    yield item, pair
            if not started:
                break
        if self._purse is not None and self._purse.refused:
            self.stopped = f"no run that is left fits into the budget of ${self._purse.budget_usd:g}"

    def _fits(self, item: CheckableQuery, pair: Pair) -> bool | None:
        most = self._expected.most(item, pair)
        return True if self._purse is None else self._purse.reserve(_key(item, pair), most)

    async def _worker(self, jobs: Iterator[tuple[CheckableQuery, Pair] | None]) -> None:
        for job in jobs:
            if self._is_spent():
                return
            if job is None:
                async with self._paid:
                    await self._paid.wait()
                continue
            item, pair = job
            found = await self._carried_out(item, pair)
            if found is None:
                continue
            observation, score = found
            row = _row(item, pair, observation, score)
            self._journal.append(row)
            self._costs.append(observation.cost_usd)
            cost = self._expected.cost(item, pair) if observation.cost_usd is None else observation.cost_usd
            self._expected.note(row)
            if self._chosen is not None:
                self._chosen.note(row)
            await self._pay(item, pair, cost)
            self._tell(row)

    async def _carried_out(self, item: CheckableQuery, pair: Pair) -> tuple[Observation, float] | None:
        """Make a run, again if its machine was lost; None if what is left to spend does not allow that."""
        for left in reversed(range(_MOST_LOST)):
            try:
                return await self._host.run(carried_out, (item, pair))
            except LostUnitError:  # after the call was made, perhaps: it counts as its estimate
                await self._pay(item, pair, self._expected.cost(item, pair))
                if not left:
                    raise
                if self._is_spent() or not self._fits(item, pair):
                    break
        return None

    async def _pay(self, item: CheckableQuery, pair: Pair, cost_usd: float | None) -> None:
        self._spent = add_known(self._spent, cost_usd)
        if self._purse is not None:
            self._purse.pay(_key(item, pair), cost_usd)
            async with self._paid:
                self._paid.notify_all()

    def _is_spent(self) -> bool:
        """Return whether no more runs may be started, and record why."""
        if self.max_cost_usd is None or (self._spent is not None and self._spent < self.max_cost_usd):
            return False
        self.stopped = f"the limit of ${self.max_cost_usd:g} is reached"
        if self._spent is None:
            self.stopped = f"a run's cost is unknown, so the limit of ${self.max_cost_usd:g} can't be kept"
        return True

    def _tell(self, row: dict[str, Any] | None) -> None:
        if self._progress is not None:
            self._progress(self._done_before + len(self._costs), self._total, row)

    def report(self) -> ProfileReport:
        """Return what was done."""
        known = [cost for cost in self._costs if cost is not None]
        return ProfileReport(
            total=self._total,
            done_before=self._done_before,
            run_now=len(self._costs),
            failed=sum(self._journal.failed(_key(item, pair)) for item in self._queries for pair in self._pairs),
            cost_usd=add_known(0.0, *self._costs),
            known_cost_usd=sum(known),
            unpriced=len(self._costs) - len(known),
            left=sum(_key(item, pair) not in self._journal for item in self._queries for pair in self._pairs),
            stopped=self.stopped,
        )


def _check(queries: Sequence[CheckableQuery]) -> None:
    if not queries:
        raise OutcomeError("There is no query to profile on; give at least one.")
    ids: set[str | None] = set()
    for item in queries:
        for name in ("answer", "scorer"):
            if getattr(item, name) is None:
                raise OutcomeError(
                    f"Query {item.query.id!r} ({item.query.text[:60]!r}) has no {name!r}; to score answers, every "
                    "query needs an 'answer' and a 'scorer'."
                )
        if item.query.id in ids:
            raise OutcomeError(f"Two queries have the id {item.query.id!r}; give each an id of its own.")
        ids.add(item.query.id)


def _check_recorded(queries: Sequence[CheckableQuery], journal: Journal) -> None:
    for item in queries:
        known = journal.query(str(item.query.id))
        now = (item.query.text, item.query.context, item.domain)
        if known is None or known == now:
            continue
        what, old, new = next(
            change for change in zip(("text", "context", "domain"), known, now, strict=True) if change[1] != change[2]
        )
        raise OutcomeError(
            f"Query {item.query.id!r} is recorded in {str(journal.out)!r} with another {what}: {str(old)[:80]!r} "
            f"there, {str(new)[:80]!r} now. Give the changed query a new id, or write to another file."
        )


def _key(item: CheckableQuery, pair: Pair) -> Key:
    return str(item.query.id), pair.model, pair.tool


def _row(item: CheckableQuery, pair: Pair, observation: Observation, score: float) -> dict[str, Any]:
    verdict = observation.verdict
    return {
        "query_id": item.query.id,
        "query": item.query.text,
        "context": item.query.context,
        "domain": item.domain,
        "model": pair.model,
        "tool": pair.tool,
        "score": score,
        "input_tokens": observation.usage.input_tokens,
        "output_tokens": observation.usage.output_tokens,
        # Cached calls count towards the run's cost; otherwise a router would learn that the pair is free.
        "cost_usd": add_known(observation.cost_usd, observation.saved_usd),
        "latency_s": observation.latency_s,
        "response": None if observation.failed else _storable(observation.answer or ""),
        "error": _storable(observation.error or ""),
        "tokens_estimated": False,
        # Without a verifier, a table needs no such column.
        **({} if verdict is None else {"verdict": None if verdict.status == "unknown" else verdict.status}),
    }


def _storable(text: str) -> str:
    """Return the text with unpaired surrogates, which models sometimes write, replaced: no file can store them."""
    return text.encode("utf-8", "replace").decode("utf-8")
