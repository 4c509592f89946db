"""Train a small language model as the policy on the reasoning table, on one GPU, in minutes.

    python benchmarks/train_llm_gpu.py --data reasoning_pairs.parquet --out out --seconds 300

It measures the model as it comes, after a warm-up that teaches the protocol and no choice, and after GRPO; each on the
same held-out queries, with the baselines beside it, and a line of the curve for every update. With ``--runs`` several
variations train at once, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

PAIRS = (
    "gpt-4-0314@@solver",
    "gpt-4-0314@@chain-of-thought",
    "gpt-4-0314@@least-to-most",
    "gpt-4-0314@@direct",
    "code-davinci-002@@solver+rationale",
    "code-davinci-002@@chain-of-thought",
    "gpt-3.5-turbo-0301@@solver",
    "gpt-3.5-turbo-0301@@chain-of-thought",
)
"""The pool: eight pairs of three models, dear and cheap; without the one that is the best almost everywhere."""
RIGHT = 0.5
"""Lowest score of an answer that counts as right."""
LEFT_OUT = "StrategyQA"
"""The domain whose records are incomplete."""
RUNS: dict[str, dict[str, Any]] = {
    "full": {},
    "slower": {"learning_rate": 6e-5},
    "without-selection": {"selection": 0.0},
    "imitating-the-oracle": {"teacher": "oracle"},
}
"""Variations, by name: settings of `train_one` that differ."""


def main() -> None:
    """Train, or start a process for each variation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="atlas-local/smollm2-135m")
    parser.add_argument("--run", default="full", choices=RUNS)
    parser.add_argument("--runs", default="", help="names of variations that train at once, with commas")
    parser.add_argument("--seconds", type=float, default=300.0, help="time for GRPO")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--groups", type=int, default=16)
    parser.add_argument("--mini-batch", type=int, default=16)
    parser.add_argument("--imitation-steps", type=int, default=100)
    parser.add_argument("--imitation-batch", type=int, default=16)
    parser.add_argument("--tests", type=int, default=1024, help="number of held-out queries to measure on")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.runs:
        train_one(arguments)
        return
    started = [
        (name, subprocess.Popen([sys.executable, __file__, *_others(arguments), "--run", name]))
        for name in arguments.runs.split(",")
    ]
    for name, process in started:
        print(name, "ended with", process.wait(), flush=True)
    for name, _ in started:
        figures = arguments.out / f"{name}.json"
        if figures.exists():
            print(name, json.dumps(json.loads(figures.read_text())["measured"]), flush=True)


def _others(arguments: argparse.Namespace) -> list[str]:
    kept = {name: value for name, value in vars(arguments).items() if name not in ("run", "runs")}
    return [part for name, value in kept.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def train_one(arguments: argparse.Namespace) -> None:
    """Train one variation, and write its figures, its curve and its adapter."""
    import torch

    from langchain_atlas.learning.language_model.config import LanguageModelConfig
    from langchain_atlas.learning.language_model.episodes import Environment
    from langchain_atlas.learning.language_model.grpo import CURVES, PolicyTrainer
    from langchain_atlas.learning.language_model.imitation import oracle_transcripts, random_transcripts
    from langchain_atlas.learning.language_model.rewards import TranscriptRewards
    from langchain_atlas.routers.prompted.hugging_face import load_causal_model

    began = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cuda = torch.cuda.is_available()
    varied = {"learning_rate": 2e-4, "selection": 1.0, "teacher": "random", **RUNS[arguments.run]}
    fitting, testing = split(arguments.data, arguments.seed)
    config = LanguageModelConfig(
        steps=arguments.steps,
        seconds=arguments.seconds,
        groups=arguments.groups,
        learning_rate=varied["learning_rate"],
        mini_batch=min(arguments.mini_batch, 8 * arguments.groups),
        imitation_steps=arguments.imitation_steps,
        imitation_batch=arguments.imitation_batch,
        imitation_rate=5e-4,
        lora_rank=8,
        max_step=64,
        max_completion=600,
        max_observation=64,
        writing_dtype="bfloat16" if cuda else None,
        checkpoint_every=100_000,
        rewards=TranscriptRewards(selection=varied["selection"]),
    )
    shown: dict[str, Any] = {"observation_chars": 120, "question_chars": 900}
    training = Environment.of(fitting, **shown)
    held_out = Environment(testing, training.described, **shown)
    model, tokenizer = load_causal_model(arguments.model, config.dtype)
    folder = arguments.out / "work" / "of" / arguments.run
    trainer = PolicyTrainer(model, tokenizer, training, config, folder=folder, seed=arguments.seed)
    told: dict[str, Any] = {"run": arguments.run, **varied, "model": arguments.model, "seed": arguments.seed}
    told |= {"device": torch.cuda.get_device_name(0) if cuda else "cpu", "torch": torch.__version__}
    told |= {"queries": [len(training), len(held_out)], "baselines": baselines(fitting, testing)}
    measured = told["measured"] = {}

    def measure(name: str, count: int) -> None:
        measured[name] = {**test(trainer, held_out, count), "at_s": round(time.monotonic() - began, 1)}
        print(arguments.run, name, json.dumps(measured[name]), flush=True)
        (arguments.out / f"{arguments.run}.json").write_text(json.dumps(told, indent=1))

    print(arguments.run, json.dumps(told["baselines"]), flush=True)
    measure("as it comes", min(128, arguments.tests))
    teacher = {"random": random_transcripts, "oracle": oracle_transcripts}[varied["teacher"]]
    trainer.imitate(teacher(training))
    measure("after imitation", arguments.tests)
    trainer.improve()
    measure("after GRPO", arguments.tests)
    told["curve"] = [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]
    (arguments.out / f"{arguments.run}.json").write_text(json.dumps(told, indent=1))
    if arguments.run == "full":
        from peft import get_peft_model_state_dict
        from safetensors.torch import save_file

        trained = get_peft_model_state_dict(trainer.model)
        weights = {name: value.half().cpu().contiguous() for name, value in trained.items()}
        save_file(weights, arguments.out / "adapter.safetensors")


def split(data: Path, seed: int) -> tuple[Any, Any]:
    """Return the outcomes of 70% of the queries, drawn at random, and those of the others."""
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pairs import Pair

    table = OutcomeTable.load(data)
    table = table.select(pairs=[Pair.parse(name) for name in PAIRS])
    kept = [row for row, domain in enumerate(table.domains) if domain != LEFT_OUT]
    order = np.random.default_rng(seed).permutation(len(kept))
    cut = round(0.7 * len(kept))
    names = [table.query_ids[kept[place]] for place in order]
    return table.select(query_ids=names[:cut]), table.select(query_ids=names[cut:])


def test(trainer: Any, environment: Any, count: int) -> dict[str, Any]:
    """Measure the policy, greedy, on some held-out queries."""
    from langchain_atlas.learning.language_model.grpo import statistics
    from langchain_atlas.learning.language_model.rollouts import Rollouts

    kept, trainer.rollouts = trainer.rollouts, Rollouts(environment, trainer.chat, trainer.rollouts.sampling)
    rows = np.random.default_rng(1).permutation(len(environment))[:count].tolist()
    start = time.monotonic()
    played = trainer.play(rows, batch=256)
    seconds = time.monotonic() - start
    trainer.rollouts = kept
    first = [str(one.episode.called[0]) for one in played if one.episode.called]
    names, counts = np.unique(first, return_counts=True) if first else ((), ())
    return {
        **{name: round(value, 4) for name, value in statistics(environment, played).items()},
        "n": len(rows),
        "seconds": round(seconds, 1),
        "first": {str(name): int(number) for name, number in zip(names, counts, strict=True)},
        "example": played[0].episode.transcript[:600],
    }


def baselines(fitting: Any, testing: Any) -> dict[str, Any]:
    """Return score and dollars per 1000 on the held-out queries of choices made on the others."""
    known, dollars = fitting.matrix("score"), fitting.matrix("cost_usd")
    scores = testing.matrix("score", fitting.pairs)
    costs = testing.matrix("cost_usd", fitting.pairs)
    best, cheapest = int(np.nanmean(known, 0).argmax()), int(np.nanmean(dollars, 0).argmin())
    where, there = np.array(fitting.domains), np.array(testing.domains)
    by_domain = {name: int(np.nanmean(known[where == name], 0).argmax()) for name in np.unique(where)}
    column = np.array([by_domain[name] for name in there])
    rows = np.arange(len(scores))
    right = np.where(scores >= RIGHT, costs, np.inf)
    oracle = np.where(np.isfinite(right.min(1)), right.argmin(1), cheapest)

    def figures(chosen: Any) -> dict[str, float]:
        return {
            "score": round(float(np.nanmean(scores[rows, chosen])), 4),
            "usd_per_1000": round(1000 * float(np.nanmean(costs[rows, chosen])), 2),
        }

    return {
        "random": {
            "score": round(float(np.nanmean(scores)), 4),
            "usd_per_1000": round(1000 * float(np.nanmean(costs)), 2),
        },
        f"best single ({fitting.pairs[best]})": figures(np.full(len(rows), best)),
        f"cheapest ({fitting.pairs[cheapest]})": figures(np.full(len(rows), cheapest)),
        "best pair of each domain, told the domain": figures(column),
        "oracle": figures(oracle),
    }


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
