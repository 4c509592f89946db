"""Language models as routers, beside the routers that decide in milliseconds: accuracy, dollars, time, kept formats.

Run with: make bench-language-model

The router models are the two embedded ones, which are small and slow on a CPU: they are measured on a sample of the
test queries. Everything else is measured on the same sample, and on all test queries.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bfcl import main_pool
from common import RESULTS, Clock, encoder_for, load, money, points, show, split, tell, write
from reasoning import INCOMPLETE
from train_llm_gpu import PAIRS as REASONING_PAIRS

from langchain_atlas.evaluation.replay.benchmark import evaluate
from langchain_atlas.files import write_text
from langchain_atlas.learning.training import train
from langchain_atlas.pool.pool import Model, Pair
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.learned.graph import GraphRouter
from langchain_atlas.routers.prompted.choosing import FewShotRouter, ZeroShotRouter
from langchain_atlas.routers.prompted.describing import describe_pairs
from langchain_atlas.routers.prompted.router import PromptedRouter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.evaluation.replay.results import Result
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.base import Router

BFCL_PAIRS = (
    "claude-3-5-sonnet-20240620@@prompt",
    "gpt-4-0125-preview@@prompt",
    "gpt-4o-2024-08-06@@fc",
    "gpt-4o-mini-2024-07-18@@prompt",
    "mistral-large-2407@@fc-any",
    "command-r-plus@@prompt",
    "claude-3-haiku-20240307@@prompt",
    "gpt-3.5-turbo-0125@@fc",
)
"""The pool on BFCL: eight pairs of eight models, dear and cheap; 38 descriptions are too long for embedded models."""
PRICES = (0.02e-6, 0.04e-6)
"""Dollars of a token read and written by a router model: what hosts ask for the smallest models. In this process they
cost none; without a price, deciding would look free."""
MODELS = ("smollm2-135m", "gemma-3-270m")
REPLY_TOKENS, STEP_TOKENS = 40, 120
"""Maximum number of tokens of the reply that names a pair, and of a step of a transcript."""
SHOWN = {"question_chars": 600}
SEED = 0


class _Counting:
    """Counts the replies behind each decision: in a transcript that is well formed, every first reply could be used."""

    replies: dict[str, list[int]]
    """Number of replies for each decision, by query."""

    def _asking(self, query: Any, trajectory: Any) -> Any:
        asking, count = super()._asking(query, trajectory), 0  # type: ignore[misc]
        try:
            asked = next(asking)
            while True:
                reply = yield asked
                count += 1
                asked = asking.send(reply)
        except StopIteration as end:
            self.replies.setdefault(query.id, []).append(count)
            return end.value

    def well_formed(self) -> float:
        """Return the share of queries on which no reply had to be written again."""
        return float(np.mean([max(counts) <= 1 for counts in self.replies.values()]))


class _ZeroShot(_Counting, ZeroShotRouter):
    """A zero-shot router that counts."""


class _FewShot(_Counting, FewShotRouter):
    """A few-shot router that counts."""


class _Prompted(_Counting, PromptedRouter):
    """A language-model policy that counts."""


def tables() -> dict[str, OutcomeTable]:
    """Return the two tables, each with its pool of eight pairs."""
    bfcl, reasoning = main_pool(load("bfcl_pairs.parquet")), load("reasoning_pairs.parquet")
    complete = [domain for domain in dict.fromkeys(reasoning.domains) if domain != INCOMPLETE]
    return {
        "bfcl": bfcl.select(pairs=[Pair.parse(name) for name in BFCL_PAIRS]),
        "reasoning": reasoning.select(pairs=[Pair.parse(name) for name in REASONING_PAIRS], domains=complete),
    }


def router_model(name: str, tokens: int) -> Model:
    """Return an embedded model as a router's model."""
    read, written = PRICES
    return Model(
        name=name,
        litellm=f"atlas-local/{name}",
        input_cost_per_token=read,
        output_cost_per_token=written,
        options={"temperature": 0, "max_tokens": tokens},
    )


def choosers(table: OutcomeTable, encoder: Encoder) -> dict[str, Callable[[], Router]]:
    """Return what makes the routers that ask a language model once, by name."""
    made: dict[str, Callable[[], Router]] = {}
    for name in MODELS:
        for constrained in (False, True):
            model, settings = router_model(name, REPLY_TOKENS), {"constrained": constrained, **SHOWN}
            end = ", constrained" if constrained else ""
            made[f"zero-shot, {name}{end}"] = partial(_ZeroShot.of, model, table, **settings)
            made[f"few-shot, {name}{end}"] = partial(_FewShot.of, model, table, encoder, **settings)
    return made


def policies(table: OutcomeTable) -> dict[str, Callable[[], Router]]:
    """Return what makes the routers whose language model writes a transcript, by name."""
    told = describe_pairs(table, domains=0)
    shown: dict[str, Any] = {"observation_chars": 200, **SHOWN}
    return {
        f"transcript, {name}{end}": partial(
            _Prompted, router_model(name, STEP_TOKENS), told, protocol=protocol, **shown
        )
        for name in MODELS
        for protocol, end in (("tags", ""), ("json", ", constrained"))
    }


def compact(table: OutcomeTable, encoder: Encoder) -> dict[str, Callable[[], Router]]:
    """Return what makes the routers that decide in milliseconds, by name."""
    return {
        "cluster": lambda: ClusterRouter(encoder).fit(table),
        "GraphRouter": lambda: GraphRouter(encoder).fit(table),
        "compact policy": lambda: train(table, encoder, seed=SEED),
    }


def measured(name: str, router: Router, table: OutcomeTable) -> dict[str, Any]:
    """Replay a router; return its figures, with the CPU time of deciding."""
    if isinstance(router, _Counting):
        router.replies = {}
    start = time.process_time()
    evaluation = evaluate({name: router}, table)
    result = evaluation.routers[name]
    seconds = (time.process_time() - start) / len(table.query_ids)
    row = _row(result) | {"cpu_s_per_query": round(seconds, 4), "n": len(table.query_ids)}
    versus = evaluation.compare(name, "random")
    row |= {"versus_random": versus.difference, "versus_random_ci95": versus.ci95}
    if isinstance(router, _Counting):
        row["well_formed"] = router.well_formed()
    tell(f"{name}: {row}")
    return row


def _row(result: Result) -> dict[str, Any]:
    kept = ("accuracy", "accuracy_ci95", "cost_usd_per_1k", "calls_per_query", "pair_share")
    return {name: getattr(result, name) for name in kept}


def one_table(name: str, table: OutcomeTable, rows: dict[str, Any], asked: argparse.Namespace, clock: Clock) -> None:
    """Measure everything on one table that is not in `rows` yet, and write what was measured after every router."""
    fitting, testing = split(table, SEED)
    with clock.part("encode"):
        encoder = encoder_for(table)
    names = np.random.default_rng(SEED).permutation(testing.query_ids).tolist()
    parts = {"all": testing, "sample": testing.select(query_ids=names[: asked.queries])}
    for kind, part in parts.items():
        for label, result in evaluate({}, part).baselines.items():
            rows[f"{label} ({kind})"] = _row(result) | {"n": len(part.query_ids)}
    few = {"few": testing.select(query_ids=names[: asked.transcripts])}
    sample = {"": parts["sample"]}
    groups = ((compact(fitting, encoder), parts), (choosers(fitting, encoder), sample), (policies(fitting), few))
    for made, on in groups:
        for label, make in made.items():
            if asked.only not in label or any(row == label or row.startswith(f"{label} (") for row in rows):
                continue
            tell(f"{name}: {label}")
            with clock.part(label.split(",")[0]):
                router = make()
                for kind, part in on.items():
                    end = f" ({kind})" if len(on) > 1 else ""
                    rows[label + end] = measured(label, router, part)
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            write_text(asked.out, json.dumps(asked.figures, indent=1) + "\n")
    shown = [_shown(label, row) for label, row in rows.items()]
    headings = ("router", "queries", "right", "interval", "$ per 1000", "calls", "CPU s", "kept the format")
    show(f"{name}: {len(table.pairs)} pairs, {len(fitting.query_ids)} queries to learn from", headings, shown)


def _shown(label: str, row: dict[str, Any]) -> list[str]:
    low, high = row["accuracy_ci95"]
    spent, kept = row.get("cpu_s_per_query"), row.get("well_formed")
    return [
        label,
        str(row["n"]),
        points(row["accuracy"]),
        f"{points(low)} to {points(high)}",
        money(row["cost_usd_per_1k"]),
        f"{row['calls_per_query']:.2f}",
        "" if spent is None else f"{spent:.3f}",
        "" if kept is None else f"{kept:.0%}",
    ]


def main() -> None:
    """Measure, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=60, help="test queries for each row with one call (%(default)s)")
    parser.add_argument(
        "--transcripts", type=int, default=30, help="test queries for each transcript row (%(default)s)"
    )
    parser.add_argument("--table", default="", help="only this table: bfcl or reasoning")
    parser.add_argument("--only", default="", help="only routers with this in their name")
    parser.add_argument("--out", type=Path, default=RESULTS / "prompted.json", help="file for the figures")
    parser.add_argument("--resume", action="store_true", help="keep the rows that the file has")
    asked, clock = parser.parse_args(), Clock()
    figures: dict[str, Any] = json.loads(asked.out.read_text()) if asked.resume and asked.out.is_file() else {}
    figures |= {"queries": asked.queries, "transcripts": asked.transcripts, "prices": PRICES}
    asked.figures = figures
    for name, table in tables().items():
        if asked.table in ("", name):
            one_table(name, table, figures.setdefault(name, {}), asked, clock)
    write(asked.out, figures, clock)


if __name__ == "__main__":
    main()
