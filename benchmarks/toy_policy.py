"""Show that training a language model as the policy learns: a tiny random model, two pairs, two kinds of query.

    python benchmarks/toy_policy.py --variation full --out out

One word tells the kinds of query apart, and each pair is right on one of them. The model is taught the protocol with
pairs at random, then improved by GRPO, on one CPU core. Variations leave one part out: the reward for the selection,
the reward for the format, or the mask over what the policy was told.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

VARIATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "without-selection": {"selection": 0.0},
    "without-format": {"format": 0.0},
    "without-mask": {"masked": False},
}
"""Parts that are left out, by name."""
STEPS, RATE, SECONDS = 200, 2e-3, 420.0


def learn(
    folder: Path, *, seed: int = 0, steps: int = STEPS, rate: float = RATE, masked: bool = True, **weights: float
) -> list[dict[str, Any]]:
    """Train the tiny model.

    Args:
        folder: for the model, the curves and the checkpoints.
        seed: seed of everything random.
        steps: number of GRPO updates.
        rate: learning rate of GRPO.
        masked: whether what the policy was told is masked.
        weights: weights of the reward's components that differ from 1.

    Returns:
        Share of first calls to the right pair, share of well-formed transcripts and so on, on queries that were not
        trained on: before GRPO, and after it.
    """
    from langchain_atlas.learning.language_model.config import LanguageModelConfig
    from langchain_atlas.learning.language_model.episodes import Environment
    from langchain_atlas.learning.language_model.grpo import PolicyTrainer, statistics
    from langchain_atlas.learning.language_model.imitation import random_transcripts
    from langchain_atlas.learning.language_model.rewards import TranscriptRewards
    from langchain_atlas.learning.language_model.rollouts import Rollouts
    from langchain_atlas.routers.prompted.hugging_face import load_causal_model
    from langchain_atlas.testing.tiny_policy import save_tiny_model, toy_table

    environment = Environment.of(toy_table(128))
    held_out = Environment(toy_table(256), environment.described)
    texts = [str(one.content) for row in range(64) for one in environment.messages(environment.start(row))]
    texts += ["\n".join(written) for _, written in random_transcripts(environment)[:64]]
    name = save_tiny_model(folder / "model", texts, hidden=64, layers=2)
    config = LanguageModelConfig(
        steps=steps, learning_rate=rate, groups=8, group_size=8, imitation_steps=160, imitation_rate=3e-3, lora_rank=0,
        max_step=60, checkpoint_every=100_000, seconds=SECONDS, masked=masked, rewards=TranscriptRewards(**weights),
    )  # fmt: skip
    model, tokenizer = load_causal_model(name)
    trainer = PolicyTrainer(model, tokenizer, environment, config, folder=folder, seed=seed)
    trainer.imitate(random_transcripts(environment, seed=seed))
    unseen = Rollouts(held_out, trainer.chat, trainer.rollouts.sampling)
    rows = list(range(128, 256))
    before = statistics(held_out, unseen.play(trainer.model, rows))
    trainer.improve()
    return [before, statistics(held_out, unseen.play(trainer.model, rows))]


def main() -> None:
    """Train one variation, and print and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variation", default="full", choices=VARIATIONS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    arguments = parser.parse_args()
    name = f"{arguments.variation}-{arguments.rate:g}-{arguments.seed}"
    start, folder = time.monotonic(), arguments.out / "work" / "toy" / name
    settings = VARIATIONS[arguments.variation]
    before, after = learn(folder, seed=arguments.seed, steps=arguments.steps, rate=arguments.rate, **settings)
    told = {"variation": arguments.variation, "rate": arguments.rate, "seed": arguments.seed}
    told |= {"before": before, "after": after, "seconds": round(time.monotonic() - start, 1)}
    print(json.dumps(told), flush=True)
    with (arguments.out / "toy.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")
    curves = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    kept = ("part", "step", "reward", "score", "well_formed", "optimal_first", "loss")
    with (arguments.out / "toy-curves.jsonl").open("a") as file:
        for line in curves:
            file.write(json.dumps({"run": name, **{key: line[key] for key in kept if key in line}}) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
