"""BFCL's side of `bfcl_live.py`: their questions out, their verdicts back.

Runs in an environment of its own, as `bfcl-eval` pins packages that ours can't have, and imports nothing of ours:

    .venv-bfcl/bin/python benchmarks/bfcl_judge.py questions --categories simple_python,multiple --most 20 --out Q.json
    .venv-bfcl/bin/python benchmarks/bfcl_judge.py score --results R.json --out S.json

Their checker looks one thing up in their table of models, whether dots in function names were replaced, and importing
that table wants the packages of every vendor. So a table with one entry stands in for it; all else is their code.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

US = "langchain-atlas"

_table: Any = ModuleType("bfcl_eval.constants.model_config")
_table.MODEL_CONFIG_MAPPING = {US: SimpleNamespace(underscore_to_dot=True)}
sys.modules[_table.__name__] = _table

from bfcl_eval import utils  # noqa: E402
from bfcl_eval.constants.enums import Language, ModelStyle  # noqa: E402
from bfcl_eval.constants.type_mappings import GORILLA_TO_OPENAPI  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402
from bfcl_eval.model_handler.utils import convert_to_tool  # noqa: E402

Call = dict[str, dict[str, Any]]
"""A call as BFCL writes it: ``{name: arguments}``."""


def questions(category: str, most: int) -> list[dict[str, Any]]:
    """Return questions of a category: messages, tools as OpenAI has them, and calls that are right.

    Args:
        category: BFCL's name of it.
        most: how many, evenly spread; 0 for all.
    """
    entries = utils.load_dataset_entry(category)
    truth = {entry["id"]: entry["ground_truth"] for entry in _truth(category)}
    if 0 < most < len(entries):
        entries = [entries[place * len(entries) // most] for place in range(most)]
    return [
        {
            "id": entry["id"],
            "category": category,
            "messages": entry["question"][0],
            "tools": convert_to_tool(entry["function"], GORILLA_TO_OPENAPI, ModelStyle.OPENAI_COMPLETIONS),
            "right": _right_calls(entry, category, truth.get(entry["id"])),
        }
        for entry in entries
    ]


def _truth(category: str) -> list[dict[str, Any]]:
    return [] if utils.is_relevance_or_irrelevance(category) else utils.load_ground_truth_entry(category)


def _right_calls(entry: dict[str, Any], category: str, truth: list[Call] | None) -> list[Call]:
    """Choose one of the calls that BFCL would accept; for relevance any call is, for irrelevance none."""
    if truth is None:
        return [] if "irrelevance" in category else [_any_call(entry["function"][0])]
    functions = {function["name"]: function["parameters"] for function in entry["function"]}
    return [
        {name.replace(".", "_"): _chosen(wanted, functions[name])} for call in truth for name, wanted in call.items()
    ]


def _any_call(function: dict[str, Any]) -> Call:
    """Make a call with something of the right type for each argument that is required."""
    parameters = function["parameters"]
    samples = {"integer": 1, "float": 1.5, "boolean": True, "array": [], "tuple": [], "dict": {}}
    types = {name: parameters["properties"][name]["type"] for name in parameters.get("required", ())}
    given = {
        name: parameters["properties"][name].get("enum", [samples.get(kind, "any")])[0] for name, kind in types.items()
    }
    return {function["name"].replace(".", "_"): given}


def _chosen(wanted: dict[str, list[Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    """Choose the first value that is accepted of each argument; an empty text mostly stands for leaving it out."""
    known = {name: values for name, values in wanted.items() if name in parameters["properties"]}
    empty = {name: values[0] if values else [] for name, values in known.items() if name in parameters["required"]}
    return empty | {name: _plain(values[0]) for name, values in _given(known).items()}


def _given(wanted: dict[str, list[Any]]) -> dict[str, list[Any]]:
    accepted = {name: [value for value in values if value != ""] for name, values in wanted.items()}
    return {name: values for name, values in accepted.items() if values}


def _plain(value: Any) -> Any:
    """Choose within a value: of an object, or of each in a list, every field has a list of what is accepted again."""
    if isinstance(value, dict):
        return {name: values[0] for name, values in _given(value).items()}
    return [_plain(member) for member in value] if isinstance(value, list) else value


def verdict(result: dict[str, Any], entry: dict[str, Any], truth: list[Call] | None) -> dict[str, Any]:
    """Judge the calls of one result with BFCL's own checker.

    Args:
        result: ``category`` and ``calls``.
        entry: BFCL's question.
        truth: BFCL's accepted calls; None for relevance and irrelevance, which only ask whether anything was called.
    """
    calls, category = result["calls"], result["category"]
    if truth is None:
        called = not utils.is_empty_output(calls)
        return {"right": called != ("irrelevance" in category), "error": None}
    if not utils.is_function_calling_format_output(calls):
        return {"right": False, "error": "not in the form of calls"}
    found = ast_checker(entry["function"], copy.deepcopy(calls), truth, Language.PYTHON, category, US)
    return {"right": bool(found["valid"]), "error": None if found["valid"] else found["error_type"]}


def score(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge results; each verdict stands where its result does."""
    categories = {result["category"] for result in results}
    entries = {
        entry["id"]: entry
        for category in categories
        for entry in utils.load_dataset_entry(category, include_language_specific_hint=False)
    }
    truth = {entry["id"]: entry["ground_truth"] for category in categories for entry in _truth(category)}
    return [verdict(result, entries[result["id"]], truth.get(result["id"])) for result in results]


def main() -> None:
    """Run the command that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["questions", "score"])
    parser.add_argument("--categories", default="simple_python")
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "questions":
        found: list[Any] = [
            each for category in given.categories.split(",") for each in questions(category, given.most)
        ]
    else:
        found = score(json.loads(given.results.read_text(encoding="utf-8")))
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
