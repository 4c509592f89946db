"""What threads of twenty turns cost with two pairs: staying, leaving for the best pair, and `StayingRouter`.

The provider is a server on this machine that speaks OpenAI's protocol, keeps the start of prompts for five minutes and
says how many tokens of each it had kept. Both pairs answer easy questions, only the large one hard ones. A thread
begins with 3,000 tokens; a right answer is worth 2 cents; a minute passes from turn to turn. What a thread costs is
what is billed, and 2 cents for each wrong answer.

Run with: make bench-threads
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from common import Clock, check, options, show, show_checks, write
from thread_scenes import billed_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

WAYS: dict[str, tuple[str, int]] = {
    "always stay": ("stay", 20),
    "always best": ("best", 20),
    "StayingRouter": ("staying", 20),
    "StayingRouter, told nothing of the length": ("staying", 8),
}
SINGLE = {
    "easy questions": "E" * 20,
    "hard ones from the second on": "E" + "H" * 19,
    "easy and hard ones in turn": "EH" * 10,
    "a hard one now and then": "EEEEEHEEEEEEHEEEEEHE",
}
TURNS = 20
THREADS = 10


def drawn(kind: str, seed: int) -> str:
    """Return a random thread: with a change of kind on one turn in three, in ten, or each turn by itself."""
    rng = random.Random(seed)  # noqa: S311  # nothing is kept secret
    now, made = rng.choice("EH"), ""
    for _ in range(TURNS):
        if kind == "one in five hard":
            now = "H" if rng.random() < 0.2 else "E"  # noqa: PLR2004  # as it says
        elif rng.random() < {"short stretches": 0.3, "long stretches": 0.1}[kind]:
            now = "H" if now == "E" else "E"
        made += now
    return made


def measured(threads: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return what the threads cost on average, by way."""
    figures = {}
    for name, (way, turns) in WAYS.items():
        billed = [billed_thread(kinds, way, thread_turns=turns) for kinds in threads]
        figures[name] = {
            "usd": sum(one.usd for one in billed) / len(billed),
            "wrong": sum(one.wrong for one in billed) / len(billed),
            "total": sum(one.total for one in billed) / len(billed),
        }
    return figures


def main() -> None:
    """Measure, print and write."""
    given, clock = options("threads", __doc__ or "", seeds=THREADS), Clock()
    figures: dict[str, Any] = {}
    with clock.part("single threads"):
        for name, kinds in SINGLE.items():
            figures[name] = measured([kinds])
    mixes = ("short stretches", "long stretches", "one in five hard")
    with clock.part("mixes"):
        for name in mixes:
            figures[name] = measured([drawn(name, seed) for seed in given.seeds])
    rows = [
        [name, *(f"{told[way]['usd']:.3f} + {told[way]['wrong']:.1f} wrong = {told[way]['total']:.3f}" for way in WAYS)]
        for name, told in figures.items()
    ]
    show("Dollars of a thread", ["thread", *WAYS], rows)
    checks = []
    for name, told in figures.items():
        ours, better = told["StayingRouter"]["total"], min(told["always stay"]["total"], told["always best"]["total"])
        mixed = name in mixes
        what = f"{name}: {'less than both' if mixed else 'no more than the better'}"
        passed = ours < better if mixed else ours <= better + 1e-9
        checks.append(check(what, f"{ours:.4f} against {better:.4f}", passed=passed))
    show_checks(checks)
    write(given.out, {"threads": figures, "checks": checks}, clock)


if __name__ == "__main__":
    main()
