"""Importer ``llmrouterbench``: one file for each data set and model, with a list of records.

The folder ``results/bench`` as a whole is a source. Of several files of a data set, split and model, the newest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.outcomes.importers.base import Draft, shown
from langchain_atlas.outcomes.importers.reading.sources import entries, files_of
from langchain_atlas.outcomes.importers.reading.values import text_of

if TYPE_CHECKING:
    from langchain_atlas.outcomes.importers.base import Ledger

_STAMP = re.compile(r"(\d{8}_\d{6})\.json$")


def read(sources: Sequence[str], ledger: Ledger) -> Iterator[Draft]:
    """Yield one outcome for each record."""
    newest: dict[tuple[str, str, str], tuple[str, str, Mapping[str, Any]]] = {}
    for source in sources:
        for path in files_of(source, ledger):
            for entry in entries(path, ledger, ()):
                found = entry.value
                if not isinstance(found, Mapping) or not isinstance(found.get("records"), list):
                    ledger.read += 1
                    ledger.reject(entry.place, "is no result of LLMRouterBench: it has no list 'records'")
                    continue
                if found.get("demo"):
                    ledger.reject(str(path), "is a demo run, not a whole data set")
                    continue
                key = (str(found.get("dataset_name")), str(found.get("split")), str(found.get("model_name")))
                stamp = match[1] if (match := _STAMP.search(path.name)) else ""
                if key in newest and newest[key][0] > stamp:
                    ledger.reject(str(path), f"is older than {newest[key][1]}, which holds the same data set and model")
                    continue
                if key in newest:
                    ledger.reject(newest[key][1], f"is older than {path}, which holds the same data set and model")
                newest[key] = (stamp, str(path), found)
    for _, place, found in newest.values():
        yield from _drafts(place, found, ledger)


def _drafts(place: str, found: Mapping[str, Any], ledger: Ledger) -> Iterator[Draft]:
    for number, record in enumerate(found["records"], start=1):
        ledger.read += 1
        here = f"{Path(place)}, record {number}"
        if not isinstance(record, Mapping):
            ledger.reject(here, f"is {shown(record)}; it must be a record")
            continue
        values = {
            "query": record.get("origin_query") or record.get("prompt"),
            "domain": found.get("dataset_name"),
            "model": found.get("model_name"),
            "score": record.get("score"),
            "score_source": "llmrouterbench",
            "input_tokens": record.get("prompt_tokens"),
            "output_tokens": record.get("completion_tokens"),
            "cost_usd": record.get("cost") or None,  # 0 for models that the benchmark ran itself
            "response": text_of(record.get("raw_output")) or text_of(record.get("prediction")),
            "expected": record.get("ground_truth"),
        }
        if not record.get("cost"):
            ledger.note("a cost of 0: the cost is unknown")
        yield Draft(here, values, record)
