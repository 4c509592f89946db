"""Show that training a language model as the policy learns: a tiny random model, two pairs, two kinds of query.

    python benchmarks/toy_policy.py --out out --seeds 0

One word tells the kinds of query apart, and each pair is right on one of them. The model is taught the protocol: to say
what kind of question it is, and to ask a pair at random. Whom to ask for which kind it has to find out by GRPO. Beside
it, from the same start, variations leave one part out: the reward for the selection, the reward for the format, or the
mask over what the policy was told. All on one CPU core.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_atlas.learning.language_model.config import LanguageModelConfig
    from langchain_atlas.learning.language_model.episodes import Environment
    from langchain_atlas.learning.language_model.grpo import PolicyTrainer
    from langchain_atlas.learning.language_model.imitation import Demonstration

VARIATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "without-selection": {"selection": 0.0},
    "without-format": {"format": 0.0},
    "without-mask": {"masked": False},
}
"""Parts that are left out, by name."""
STEPS, RATE, IMITATION_STEPS = 25, 3e-4, 120
TRAINED_ON, TESTED_ON = 128, 128
"""Number of queries."""
WIDTH = 128
"""Width of the model."""
TEMPERATURE = 0.5
"""Temperature of the rollouts: at 1, so small a model often slips in the format, which drowns the choice."""
DRAWS = 20
"""Transcripts of each query in the warm-up, each with a pair of its own: one alone would be learned by heart."""


@dataclass(frozen=True)
class Taught:
    """The tiny model after the warm-up."""

    model: Any
    """The model."""
    tokenizer: Any
    """Its tokenizer."""
    environment: Environment
    """The queries to learn from."""
    held_out: Environment
    """The same, and then those to test on."""
    before: dict[str, float]
    """Share of first calls to the right pair, share of well-formed transcripts and so on, on the queries to test on."""


def teach(folder: Path, *, seed: int = 0, steps: int = IMITATION_STEPS) -> Taught:
    """Make the tiny model, and teach it the protocol with pairs at random.

    Args:
        folder: for the model and the curve.
        seed: seed of everything random.
        steps: number of updates.
    """
    from langchain_atlas.learning.language_model.episodes import Environment
    from langchain_atlas.routers.prompted.hugging_face import load_causal_model
    from langchain_atlas.testing.tiny_policy import save_tiny_model, toy_table

    table = toy_table(TRAINED_ON)
    environment = Environment(table, dict.fromkeys(table.pairs, ""))  # outcomes alone tell who is good at what
    held_out = Environment(toy_table(TRAINED_ON + TESTED_ON), environment.described)
    told = [one for draw in range(DRAWS) for one in demonstrations(environment, seed=DRAWS * seed + draw)]
    texts = [str(one.content) for row in range(64) for one in environment.messages(environment.start(row))]
    texts += ["\n".join(written) for _, written in told[:64]]
    shape: dict[str, Any] = {"hidden": WIDTH, "layers": 2, "vocabulary": 1200, "initializer_range": WIDTH**-0.5}
    name = save_tiny_model(folder / "model", texts, **shape, seed=seed)
    model, tokenizer = load_causal_model(name)
    taught = Taught(model, tokenizer, environment, held_out, {})
    trainer = _trainer(taught, _config(imitation_steps=steps), folder, seed)
    trainer.imitate(told)
    return Taught(model, tokenizer, environment, held_out, _tested(trainer, held_out))


def demonstrations(environment: Environment, *, seed: int) -> list[Demonstration]:
    """Return a transcript for each query that says of which kind the query is, and asks a pair at random."""
    from langchain_atlas.learning.language_model.imitation import random_transcripts
    from langchain_atlas.routers.prompted.tags import Block, write_blocks

    told = []
    for row, (first, *others) in random_transcripts(environment, seed=seed):
        thought = write_blocks([Block("think", f"It is a {environment.table.domains[row]}.")])
        told.append((row, (thought + first[first.index("</think>") + len("</think>") :], *others)))
    return told


def learn(
    taught: Taught,
    folder: Path,
    *,
    seed: int = 0,
    steps: int = STEPS,
    rate: float = RATE,
    masked: bool = True,
    **weights: float,
) -> dict[str, float]:
    """Improve a copy of the tiny model by GRPO.

    Args:
        taught: the model after the warm-up.
        folder: for the curve.
        seed: seed of everything random.
        steps: number of updates, each on eight episodes of each of eight queries.
        rate: learning rate.
        masked: whether what the policy was told is masked.
        weights: weights of the reward's components that differ from 1.

    Returns:
        The same figures as `Taught.before`.
    """
    from langchain_atlas.learning.language_model.rewards import TranscriptRewards

    config = _config(steps=steps, learning_rate=rate, masked=masked, rewards=TranscriptRewards(**weights))
    trainer = _trainer(taught, config, folder, seed, copy.deepcopy(taught.model))
    trainer.improve()
    return _tested(trainer, taught.held_out)


def _config(**settings: Any) -> LanguageModelConfig:
    from langchain_atlas.learning.language_model.config import LanguageModelConfig

    fixed: dict[str, Any] = {"groups": 8, "group_size": 8, "lora_rank": 0, "max_step": 40, "checkpoint_every": 100_000}
    fixed |= {"temperature": TEMPERATURE, "imitation_rate": 1e-3}
    fixed["shuffled"] = False  # the kinds alternate: an update with more of one kind would favour its pair
    return LanguageModelConfig(**fixed, **settings)


def _trainer(
    taught: Taught, config: LanguageModelConfig, folder: Path, seed: int, model: Any | None = None
) -> PolicyTrainer:
    from langchain_atlas.learning.language_model.grpo import PolicyTrainer

    trained = taught.model if model is None else model
    return PolicyTrainer(trained, taught.tokenizer, taught.environment, config, folder=folder, seed=seed)


def _tested(trainer: PolicyTrainer, held_out: Environment) -> dict[str, float]:
    """Play queries that were not trained on, at the temperature of the rollouts."""
    from langchain_atlas.learning.language_model.grpo import statistics
    from langchain_atlas.learning.language_model.rollouts import Rollouts

    unseen = Rollouts(held_out, trainer.chat, trainer.rollouts.sampling)
    return statistics(held_out, unseen.play(trainer.model, list(range(TRAINED_ON, TRAINED_ON + TESTED_ON))))


def main() -> None:
    """Train the variations, and print and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variations", default=",".join(VARIATIONS), help="with commas (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2,3", help="of all that is drawn (default %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    asked = parser.parse_args()
    for seed in map(int, asked.seeds.split(",")):
        start, work = time.process_time(), asked.out / f"seed-{seed}"
        taught = teach(work, seed=seed)
        _tell(asked, {"seed": seed, "variation": "before", **taught.before}, start)
        for name in asked.variations.split(","):
            start = time.process_time()
            settings = {"seed": seed, "steps": asked.steps, "rate": asked.rate, **VARIATIONS[name]}
            _tell(asked, {"seed": seed, "variation": name, **learn(taught, work / name, **settings)}, start)


def _tell(asked: argparse.Namespace, told: dict[str, Any], start: float) -> None:
    spent = round(time.process_time() - start, 1)
    line = json.dumps({**told, "rate": asked.rate, "steps": asked.steps, "cpu_seconds": spent})
    print(line, flush=True)
    with (asked.out / "toy.jsonl").open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
