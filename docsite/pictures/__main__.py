"""Draw the pictures of the documentation anew, light and dark.

Run with: make pictures, or python docsite/pictures [NAME ...]. What needs the shared data folder or Chromium is left as
it is where these are not there. Pictures of benchmarks are drawn by these; here they get their dark form.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import asked
import drawn
import explained
import few
import measured
import shots
from svg import IMAGES, dark, write

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURES: dict[str, Callable[[], str]] = {
    "loop": drawn.loop,
    "graph": drawn.graph,
    "clusters": explained.clusters,
    "frontier": measured.frontier,
    "asking-again": explained.asking_again,
    "guard": explained.guard,
    "few-queries": few.few_queries,
    "trajectory": asked.trajectory,
}
"""What draws each picture; the report is taken with a browser."""
OF_BENCHMARKS = ("settings", "buying", "drift", "train_llm", "leaderboard")
"""Pictures that benchmarks draw."""


def main() -> None:
    """Draw the pictures that are named, or all."""
    names = sys.argv[1:] or [*PICTURES, "report", *OF_BENCHMARKS]
    for name in names:
        try:
            draw(name)
        except FileNotFoundError as error:
            sys.stderr.write(f"{name}: left as it is, {error}\n")


def draw(name: str) -> None:
    """Draw one picture.

    Raises:
        FileNotFoundError: what it is drawn from is not there.
    """
    if name in PICTURES:
        write(name, PICTURES[name]())
    elif name == "report":
        shots.report()
    elif name in OF_BENCHMARKS:
        light = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
        (IMAGES / f"{name}-dark.svg").write_text(dark(light), encoding="utf-8")
    else:
        sys.exit(f"There is no picture {name!r}. Valid: {', '.join([*PICTURES, 'report', *OF_BENCHMARKS])}.")


if __name__ == "__main__":
    main()
