"""Write the prompts of an outcome table as verl reads them.

python examples/verl/make_prompts.py --data T.parquet --out prompts.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from replay_agent_loop import environment

_ROLES = {"system": "system", "human": "user"}


def rows(data: str) -> list[dict[str, Any]]:
    """Return a row for each query: the prompt, and where its outcomes are."""
    episodes = environment(data)
    found = []
    for row in range(len(episodes)):
        episode = episodes.start(row)
        prompt = [{"role": _ROLES[one.type], "content": str(one.content)} for one in episodes.messages(episode)]
        extra = {"data": data, "row": row, "pairs": [str(pair) for pair in episode.pairs]}
        found.append(
            {
                "data_source": "langchain_atlas",
                "prompt": prompt,
                "agent_name": "langchain_atlas_replay",
                "reward_model": {"style": "rule", "ground_truth": ""},
                "extra_info": extra,
            }
        )
    return found


def main() -> None:
    """Read a table and write its prompts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pq.write_table(pa.Table.from_pylist(rows(str(arguments.data.resolve()))), arguments.out)


if __name__ == "__main__":
    main()
