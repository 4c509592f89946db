"""Checks that make asking again worth it: small programs by the embedded models, and BFCL's schemas in replay.

Each task gives two examples of a function; whether an answer is right is judged by others that nobody sees. A verifier
runs the task's examples in the sandbox. One call is compared with asking another pair when the check fails, and with
calling all pairs without a check, where the answer is the one that most others agree with.

Run with: make bench-verifiers-live
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from code_tasks import TASKS, Task
from common import DATA, RESULTS, Clock, check, load, money, points, show, show_checks, tell, write

from langchain_atlas import NO_TOOL, LiveExecutor, Model, Pair, Pool
from langchain_atlas.answers import AnswerAgreement
from langchain_atlas.execution.replay import ReplayExecutor
from langchain_atlas.execution.verifiers import CallsVerifier, ExamplesVerifier
from langchain_atlas.local.models import installed_models
from langchain_atlas.loop.turns import solve
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.base import Router
from langchain_atlas.trajectory import START, Decision, Observation, Query, Trajectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_atlas.execution.base import Executor

ANSWERED_BY = ("smollm2-135m", "gemma-3-270m")
WARM = 0.6
"""Temperature of the second draw from each model."""


class InTurn(Router):
    """Calls pairs in turn; how it ends is the question.

    Args:
        order: the pairs to call.
        checked: stop at the first answer that passes its check, and give it, or else the first; without, call all, and
            give the first of the answers that most agree.
    """

    is_deterministic = True

    def __init__(self, order: Sequence[Pair], *, checked: bool) -> None:
        self._order, self._checked = tuple(order), checked
        self._agreement = AnswerAgreement()

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs."""
        return self._order

    def decide(self, query: Query, trajectory: Trajectory = START) -> Decision:
        """Decide the next step; see `Router.decide`."""
        seen = trajectory.observations
        passed = [at for at, one in enumerate(seen) if one.verdict is not None and one.verdict.status == "passed"]
        if len(seen) < len(self._order) and not (self._checked and passed):
            return Decision(kind="route", pair=self._order[len(seen)], rule="in turn")
        source = (passed or [0])[0] if self._checked else self._agreed(query, seen)
        return Decision(kind="answer", answer=seen[source].answer, source=source, rule="checked" if passed else "first")

    def _agreed(self, query: Query, seen: Sequence[Observation]) -> int:
        groups = self._agreement.groups([self._agreement.read(one.answer, query) for one in seen], query)
        return max(range(len(groups)), key=lambda at: (groups.count(groups[at]), -at))


@dataclass(frozen=True)
class Way:
    """What one way of asking gave."""

    accuracy: float
    """Share of right answers."""
    calls: float
    """Mean number of calls."""
    seconds: float
    """Mean seconds a task, checks included."""


def the_pool(names: Sequence[str]) -> Pool:
    """Return the embedded models, each a second time at a temperature."""
    models = []
    for name in names:
        options = {"temperature": 0, "max_tokens": 80, "stop": ["\n\n"], "model_kwargs": {"seed": 1}}
        cold = Model(name=name, litellm=f"atlas-local/{name}", options=options)
        models += [cold, cold.variant(f"{name}-warm", temperature=WARM)]
    return Pool(models=tuple(models), tools=(NO_TOOL,))


def ways(names: Sequence[str]) -> dict[str, InTurn]:
    """Return the ways that are compared, by name."""
    cold, warm = [Pair(name, "none") for name in names], [Pair(f"{name}-warm", "none") for name in names]
    alone = {f"{pair.model}, one call": InTurn([pair], checked=True) for pair in cold}
    return alone | {
        "ask again when the check fails, at most 2 calls": InTurn(cold, checked=True),
        "ask again when the check fails, at most 4 calls": InTurn(cold + warm, checked=True),
        "4 calls and no check, what most agree with": InTurn(cold + warm, checked=False),
    }


def measured(router: Router, executor: Executor, tasks: Sequence[Task]) -> tuple[Way, list[Trajectory]]:
    """Let a router solve tasks in the loop that serves users."""
    taken = [solve(task.query(), router, executor) for task in tasks]
    right = [task.score(one.answer) for task, one in zip(tasks, taken, strict=True)]
    seconds = [float(one.latency_s or 0.0) for one in taken]
    return Way(float(np.mean(right)), float(np.mean([one.calls for one in taken])), float(np.mean(seconds))), taken


def recorded(tasks: Sequence[Task], taken: Sequence[Trajectory]) -> OutcomeTable:
    """Return live calls as an outcome table, with their verdicts."""
    rows = []
    for task, trajectory in zip(tasks, taken, strict=True):
        for seen in trajectory.observations:
            told = None if seen.verdict is None or seen.verdict.status == "unknown" else seen.verdict.status
            query = {"query_id": task.name, "query": task.query().text, "domain": "code", "verdict": told}
            pair = {"model": seen.pair.model, "tool": seen.pair.tool, "latency_s": seen.latency_s}
            rows.append({**query, **pair, "response": seen.answer, "score": task.score(seen.answer)})
    return OutcomeTable.from_rows(rows, "the live calls")


def errs(table: OutcomeTable) -> dict[str, float]:
    """Return how often a recorded check errs: share of wrong answers that passed, and of right ones that failed."""
    verdicts, scores = table.verdicts, table.matrix("score")
    assert verdicts is not None  # noqa: S101  # they were recorded
    wrong, right = (scores == 0) & (verdicts >= 0), (scores == 1) & (verdicts >= 0)
    return {
        "wrong_that_passed": float((verdicts[wrong] == 1).mean()) if wrong.any() else float("nan"),
        "right_that_failed": float((verdicts[right] == 0).mean()) if right.any() else float("nan"),
    }


def on_code(names: Sequence[str], tasks: Sequence[Task], clock: Clock) -> dict[str, Any]:
    """Measure the ways live, and again in replay of what the live calls answered."""
    executor = LiveExecutor(the_pool(names), verifier=ExamplesVerifier())
    live: dict[str, Way] = {}
    asked = ways(names)
    taken: list[Trajectory] = []
    with clock.part("live"):
        for name in names:  # the first call loads the weights
            executor.run(Pair(name, "none"), tasks[0].query())
        for way, router in asked.items():
            live[way], taken = measured(router, executor, tasks)
            tell(f"  {way}: {points(live[way].accuracy)}%")
    table = recorded(tasks, taken)  # the last way calls every pair
    with clock.part("replay"):
        replayed = {way: measured(router, ReplayExecutor(table), tasks)[0] for way, router in asked.items()}
    return {
        "tasks": len(tasks),
        "live": {way: vars(one) for way, one in live.items()},
        "replay": {way: vars(one) for way, one in replayed.items()},
        "check": errs(table),
    }


FIRST = (
    "gpt-3.5-turbo-0125@@fc",
    "gpt-4o-mini-2024-07-18@@fc",
    "open-mistral-nemo-2407@@fc-any",
    "claude-3-haiku-20240307@@prompt",
)
"""Cheap pairs of BFCL."""
SECOND = "gpt-4o-mini-2024-07-18@@prompt"
"""The pair that is asked when their calls do not fit the schemas."""


def on_schemas() -> dict[str, Any]:
    """Replay BFCL's recorded calls, checked against the schemas of the functions that each query offers."""
    whole = load("bfcl_pairs.parquet")
    responses, verifier, found = whole.texts("response"), CallsVerifier(), {}
    score, cost = whole.matrix("score"), 1000 * whole.matrix("cost_usd")
    second = whole.pair_number(Pair.parse(SECOND))
    for name in FIRST:
        pair = Pair.parse(name)
        first = whole.pair_number(pair)
        answers = [Observation(pair=pair, answer=row[first] or "") for row in responses]
        start = time.perf_counter()
        told = [verifier.verify(query, seen).status for query, seen in zip(whole.queries, answers, strict=True)]
        seconds = time.perf_counter() - start
        status, again = np.array(told), np.array(told) == "failed"
        found[name] = {
            "one_call": {"accuracy": float(score[:, first].mean()), "cost_usd_per_1k": float(cost[:, first].mean())},
            "with_check": {
                "accuracy": float(np.where(again, score[:, second], score[:, first]).mean()),
                "cost_usd_per_1k": float((cost[:, first] + again * cost[:, second]).mean()),
                "calls": 1 + float(again.mean()),
            },
            "right_by_verdict": {one: float(score[status == one, first].mean()) for one in sorted(set(told))},
            "seconds_per_check": seconds / len(told),
        }
    return found


def show_code(found: Mapping[str, Any]) -> None:
    """Print the ways."""
    replayed = found["replay"]
    rows = [
        (
            way,
            points(one["accuracy"]),
            f"{one['calls']:.2f}",
            f"{one['seconds']:.2f}",
            points(replayed[way]["accuracy"]),
        )
        for way, one in found["live"].items()
    ]
    headings = ("way", "right %", "calls a task", "seconds a task", "right % in replay")
    missed = ", ".join(f"{name.replace('_', ' ')} {100 * value:.0f}%" for name, value in found["check"].items())
    show(f"{found['tasks']} small programs by the embedded models", headings, rows, f"The check errs: {missed}.")


def show_schemas(found: Mapping[str, Any]) -> None:
    """Print what the check of schemas brought on each cheap pair."""
    rows = [
        (
            pair,
            points(one["one_call"]["accuracy"]),
            points(one["with_check"]["accuracy"]),
            f"{one['with_check']['calls']:.2f}",
            f"{money(one['one_call']['cost_usd_per_1k'])} to {money(one['with_check']['cost_usd_per_1k'])}",
            points(one["right_by_verdict"].get("failed")),
        )
        for pair, one in found.items()
    ]
    headings = ("first call", "right %", "with the check", "calls", "$ for 1000", "right where it failed")
    show(f"BFCL in replay: {SECOND} is asked where a call does not fit its schema", headings, rows)


def must_show(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare asking again after a failed check with the better single call, and with calls without a check."""
    live = found["live"]
    alone = max(one["accuracy"] for way, one in live.items() if way.endswith("one call"))
    checked = live["ask again when the check fails, at most 4 calls"]
    agreed = live["4 calls and no check, what most agree with"]
    more, calls = checked["accuracy"] - alone, checked["calls"]
    over = checked["accuracy"] - agreed["accuracy"]
    return [
        check("code, live: more right with the check than by one call", f"{100 * more:+.1f}", passed=more > 0),
        check(
            "code, live: no fewer right than 4 calls without a check, in fewer calls",
            f"{100 * over:+.1f} in {calls:.2f} calls",
            passed=over >= 0 and calls < agreed["calls"],
        ),
    ]


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description="A check of code, with the embedded models.")
    parser.add_argument("--most", type=int, default=len(TASKS), help="number of tasks (default: all)")
    parser.add_argument("--out", type=Path, default=RESULTS / "verifiers_live.json", help="file for the figures")
    asked, clock = parser.parse_args(), Clock()
    names = [name for name in ANSWERED_BY if name in installed_models()]
    if not names:
        parser.error("no embedded model is installed: pip install 'langchain-atlas[local]'")
    found: dict[str, Any] = {"code": on_code(names, TASKS[: asked.most], clock)}
    show_code(found["code"])
    found["must_show"] = must_show(found["code"])
    if DATA.is_dir():
        with clock.part("schemas"):
            found["schemas"] = on_schemas()
        show_schemas(found["schemas"])
    show_checks(found["must_show"])
    write(asked.out, found, clock)


if __name__ == "__main__":
    main()
