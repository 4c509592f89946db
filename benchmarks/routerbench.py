"""RouterBench's zero-shot part: three tasks, eleven models without tools, with costs.

Run with: make bench-routerbench
"""

from __future__ import annotations

import reporting
from common import Clock, encoder_for, families, listed, load, options, write
from selection import STANDARD
from study import Study


def main() -> None:
    """Measure, print, and write the figures."""
    asked, clock = options("routerbench", "Routers on RouterBench's ARC-challenge, MBPP and WinoGrande."), Clock()
    table = load("routerbench.parquet")
    with clock.part("encode"):
        routers = families(encoder_for(table), bert=asked.bert)
    inside = Study(routers, STANDARD, asked.seeds, clock).in_distribution(table)
    reporting.show_sheet(
        f"RouterBench, {len(table.pairs)} models, in distribution, seeds {listed(asked.seeds)}", inside
    )
    write(asked.out, {"in_distribution": inside.to_json(), "seeds": asked.seeds}, clock)


if __name__ == "__main__":
    main()
