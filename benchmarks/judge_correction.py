"""How well a judge's rates are corrected: judges that err by known rates, on answers whose truth is known.

Each draw asks a scripted judge about 200 answers (50 questions, four models), has people mark some of them at random,
and compares the rates with the truth. Needs no network: ``python benchmarks/judge_correction.py``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_atlas.evaluation.scoring.judging.judge import Judge
from langchain_atlas.evaluation.scoring.marking import score_table
from langchain_atlas.evaluation.scoring.people import HumanMark
from langchain_atlas.outcomes import OutcomeTable

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

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


class ErringJudge(BaseChatModel):
    """Marks by the truth, but for its errors."""

    right: dict[str, bool]
    errors: tuple[float, float, float]
    seed: int

    @property
    def _llm_type(self) -> str:
        return "erring"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        text = str(messages[-1].content)
        rng = random.Random(f"{self.seed} {text}")  # noqa: S311
        misses, lets, lean = self.errors
        marks = {}
        for label, answer in zip("ABCD", re.findall(r"answer no \d+", text), strict=False):
            errs = rng.random() < (misses if self.right[answer] else lets)
            marks[label] = int(self.right[answer] != errs)
        if rng.random() < lean:
            marks["A"] = 1
        return ChatResult(generations=[ChatGeneration(message=AIMessage(json.dumps(marks)))])


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


def main() -> None:
    """Print the table of docs/scoring.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=50)
    draws = parser.parse_args().draws
    print("| judge | marked by people | error as judged | corrected | intervals hold it | hold its source | width |")
    print("|---|---|---|---|---|---|---|")
    for name, errors in JUDGES.items():
        for people in (60, 120):
            raw, corrected, covers, drawn, width = measure(errors, people, draws)
            figures = f"{raw:.1f} | {corrected:.1f} | {covers:.0f}% | {drawn:.0f}% | {width:.0f}"
            print(f"| {name} | {people} of 200 | {figures} |", flush=True)


if __name__ == "__main__":
    main()
