"""How well a judge's rates are corrected: judges that err by known rates, on answers whose truth is known.

Each draw asks a scripted judge about 200 answers (50 questions, four models), has people mark some of them at random,
and compares the rates with the truth. Needs no network: ``python benchmarks/judge_correction.py``. With ``--served``
the judge that leans to the first is a server on loopback, and each draw runs the command ``score --judge --human``:
``make bench-judge``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_atlas.evaluation.scoring.judging.judge import Judge
from langchain_atlas.evaluation.scoring.marking import score_table
from langchain_atlas.evaluation.scoring.people import HumanMark
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.testing import OpenAIServer

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

LEAST = 0.9
"""Share of the draws in which the interval must hold the true rate."""
RATES = {"amber": 0.9, "birch": 0.75, "cedar": 0.6, "dune": 0.5}
JUDGES = {
    "careful": (0.05, 0.05, 0.0),
    "errs": (0.1, 0.2, 0.0),
    "errs, leans to the first": (0.1, 0.2, 0.3),
    "generous": (0.02, 0.4, 0.0),
    "harsh": (0.3, 0.05, 0.0),
}
"""Share of right answers that a judge calls wrong, of wrong ones that it calls right, and how often it calls the first
answer right whatever it says."""


def marks_of(text: str, right: dict[str, bool], errors: tuple[float, float, float], seed: int) -> str:
    """Return the judge's reply to a prompt: the truth, but for its errors."""
    rng = random.Random(f"{seed} {text}")  # noqa: S311
    misses, lets, lean = errors
    marks = {}
    for label, answer in zip("ABCD", re.findall(r"answer no \d+", text), strict=False):
        errs = rng.random() < (misses if right[answer] else lets)
        marks[label] = int(right[answer] != errs)
    if rng.random() < lean:
        marks["A"] = 1
    return json.dumps(marks)


class ErringJudge(BaseChatModel):
    """Marks by the truth, but for its errors."""

    right: dict[str, bool]
    errors: tuple[float, float, float]
    seed: int

    @property
    def _llm_type(self) -> str:
        return "erring"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        reply = marks_of(str(messages[-1].content), self.right, self.errors, self.seed)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(reply))])


def answers(rng: random.Random) -> tuple[list[dict[str, Any]], dict[str, bool]]:
    """Make 200 answers and say which are right."""
    rows: list[dict[str, Any]] = []
    right = {}
    for number in range(50):
        for model, rate in RATES.items():
            text = f"answer no {len(rows)}"
            right[text] = rng.random() < rate
            rows.append(
                {"query_id": f"q{number}", "query": f"question {number}", "domain": "d", "model": model, "tool": "none",
                 "score": None, "response": text}
            )  # fmt: skip
    return rows, right


def measure(errors: tuple[float, float, float], people: int, draws: int) -> tuple[float, ...]:
    """Measure the rates of each pair and of all.

    Returns:
        Mean errors as marked and as corrected, in points; percent of the intervals that hold the rate of these answers,
        and the rate that they are drawn from; the mean width of the intervals, in points.
    """
    raw, corrected, covers, covers_drawn, widths = [], [], [], [], []
    for draw in range(draws):
        rng = random.Random(draw)  # noqa: S311
        rows, right = answers(rng)
        marked = [
            HumanMark(row["query_id"], f"{row['model']}@@none", float(right[row["response"]]), 1)
            for row in rng.sample(rows, people)
        ]
        judge = Judge(ErringJudge(right=right, errors=errors, seed=draw), name="judge", together=4, seed=draw)
        _, report = score_table(OutcomeTable.from_rows(rows), judge=judge, human=marked)
        for rate in report.rates:
            truth = np.mean(
                [right[row["response"]] for row in rows if rate.pair in ("all pairs", f"{row['model']}@@none")]
            )
            raw.append(abs(rate.rate - truth))
            if rate.corrected is not None and rate.ci95 is not None:
                corrected.append(abs(rate.corrected - truth))
                drawn = RATES.get(rate.pair.removesuffix("@@none"), sum(RATES.values()) / len(RATES))
                covers.append(rate.ci95[0] <= truth <= rate.ci95[1])
                covers_drawn.append(rate.ci95[0] <= drawn <= rate.ci95[1])
                widths.append(rate.ci95[1] - rate.ci95[0])
    return tuple(100 * float(np.mean(one)) for one in (raw, corrected, covers, covers_drawn, widths))


def command(*arguments: object) -> None:
    """Run a command of ``langchain-atlas`` in this process, silently; it must succeed."""
    from langchain_atlas.cli import main as atlas

    said, given = io.StringIO(), sys.argv
    sys.argv = ["langchain-atlas", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            atlas()
    except SystemExit as left:
        if left.code:
            raise RuntimeError(said.getvalue()) from left
    finally:
        sys.argv = given


def served(name: str, people: int, draws: int) -> None:
    """Print how often the intervals hold the truth where a server is the judge and the command asks it."""
    holds: dict[str, list[bool]] = {}
    raw, corrected, asked = [], [], 0
    truth: dict[str, Any] = {}
    os.environ["KEY_OF_THE_BENCHMARK"] = "not-a-secret"

    def reply(body: dict[str, Any]) -> str:
        return marks_of(str(body["messages"][-1]["content"]), truth["right"], JUDGES[name], truth["draw"])

    with OpenAIServer(reply) as server, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pool, table, marked = folder / "pool.yaml", folder / "logs.parquet", folder / "people.csv"
        key = "api_key_env: KEY_OF_THE_BENCHMARK"
        prices = "input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6"
        options = f"options: {{api_base: '{server.url}'}}"
        pool.write_text(f"models:\n  judge: {{litellm: openai/judge, {prices}, {options}, {key}}}\n", encoding="utf-8")
        for draw in range(draws):
            rng = random.Random(draw)  # noqa: S311
            rows, right = answers(rng)
            truth.update(right=right, draw=draw)
            OutcomeTable.from_rows(rows).save(table)
            chosen = [f"{r['query_id']},{r['model']}@@none,{right[r['response']]:d}" for r in rng.sample(rows, people)]
            marked.write_text("\n".join(["query_id,pair,score", *chosen]) + "\n", encoding="utf-8")
            figures = folder / f"{draw}.json"
            given = (
                "score",
                table,
                "--judge",
                "judge",
                "--pool",
                pool,
                "--human",
                marked,
                "--together",
                4,
                "--seed",
                draw,
            )
            command(*given, "--cache", folder / f"{draw}.jsonl", "--out", folder / "out.parquet", "--json", figures)
            told = json.loads(figures.read_text(encoding="utf-8"))
            asked += told["judge"]["calls"]
            for rate in told["rates"]:
                ours = [right[r["response"]] for r in rows if rate["pair"] in ("all pairs", f"{r['model']}@@none")]
                raw.append(abs(rate["rate"] - np.mean(ours)))
                if rate["corrected"] is not None:
                    corrected.append(abs(rate["corrected"] - np.mean(ours)))
                    low, high = rate["ci95"]
                    holds.setdefault(rate["pair"], []).append(bool(low <= np.mean(ours) <= high))
    print(f"{name}: {draws} draws, {asked} calls of the server, {people} of 200 marked by people")
    print(f"error as judged {100 * np.mean(raw):.1f} points, corrected {100 * np.mean(corrected):.1f}")
    for pair, held in holds.items():
        print(f"{pair}: the interval holds the true rate in {np.mean(held):.0%} of {len(held)}")
    if min(float(np.mean(held)) for held in holds.values()) < LEAST:
        sys.exit(f"an interval holds the true rate in fewer than {LEAST:.0%} of the draws")


def main() -> None:
    """Print the table of docs/judges.md, or what a served judge gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--served", action="store_true", help="ask a server on loopback, by the command")
    given = parser.parse_args()
    draws = given.draws
    if given.served:
        served("errs, leans to the first", 60, draws)
        return
    print("| judge | marked by people | error as judged | corrected | intervals hold it | hold its source | width |")
    print("|---|---|---|---|---|---|---|")
    for name, errors in JUDGES.items():
        for people in (60, 120):
            raw, corrected, covers, drawn, width = measure(errors, people, draws)
            figures = f"{raw:.1f} | {corrected:.1f} | {covers:.0f}% | {drawn:.0f}% | {width:.0f}"
            print(f"| {name} | {people} of 200 | {figures} |", flush=True)


if __name__ == "__main__":
    main()
