"""The demo's material: a pool of embedded models, questions of four kinds, documents, and recorded outcomes.

Beside it, made-up logs of a help desk, for the pages that start from logs.

The outcomes were recorded by running every pair on every question, with the command

    langchain-atlas profile --pool POOL --queries QUERIES --out OUTCOMES --concurrency 2

with the paths below. It was stopped and resumed several times, and the machine was busy with other work, so the
recorded seconds are longer than they would be on a quiet one. When the calculator's prompt was changed on the way, its
outcomes were dropped and run again. The questions in words have since been marked again, from the recorded answers,
when lists of everything ceased to count as right. The prompts in ``pool.yaml`` were chosen after trying some of these
very questions, held-out ones among them.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent
POOL = FOLDER / "pool.yaml"
QUERIES = FOLDER / "queries.jsonl"
OUTCOMES = FOLDER / "outcomes.parquet"
LOGS = FOLDER / "logs"

_HELD_OUT_PERCENT = 40


def is_held_out(query_id: str) -> bool:
    """Say whether a question is kept from the router when it is fitted; decided by its id alone."""
    digest = hashlib.sha256(query_id.encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < _HELD_OUT_PERCENT


def split(query_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part questions into those to fit on and those held out."""
    ids = list(query_ids)
    return [name for name in ids if not is_held_out(name)], [name for name in ids if is_held_out(name)]
