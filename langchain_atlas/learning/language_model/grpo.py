"""Training a language model as the policy: imitate transcripts, then improve by GRPO on whole episodes.

The trainers are TRL's. What is ours is the rollout: episodes over several turns, on recorded outcomes or live, whose
results are masked from the loss.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.errors import MissingExtraError, SettingError
from langchain_atlas.learning.language_model.imitation import Demonstration, to_tokens
from langchain_atlas.learning.language_model.models import WritingCopy, left_as_it_was, with_adapter
from langchain_atlas.learning.language_model.rewards import COMPONENTS
from langchain_atlas.learning.language_model.rollouts import EpisodeRollout, Rollouts, Sampling
from langchain_atlas.learning.language_model.tokens import ChatTokens
from langchain_atlas.routers.prompted.format_rules import broken_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_atlas.learning.language_model.config import LanguageModelConfig
    from langchain_atlas.learning.language_model.episodes import Environment
    from langchain_atlas.progress import Progress

CURVES = "curves.jsonl"
"""File name of the training statistics, one line per update."""


class PolicyTrainer:
    """Trains a causal language model on the episodes of an environment.

    Args:
        model: the model, of `load_model`.
        tokenizer: its tokenizer.
        environment: the episodes; its rewards are those of `config`.
        config: the settings.
        seed: seed of everything random.
        folder: for curves and checkpoints.

    Raises:
        MissingExtraError: TRL or peft is not installed.
        SettingError: the tokenizer's chat template can't be used.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        environment: Environment,
        config: LanguageModelConfig,
        *,
        folder: str | Path,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self._trl = _trl()
        import torch
        from transformers import set_seed

        set_seed(seed)
        torch.set_float32_matmul_precision("high")
        self.config, self.seed, self.folder, self._progress = config, seed, Path(folder), progress
        self.environment = environment.with_rewards(config.rewards)
        self.chat = ChatTokens(tokenizer, max_prompt=config.max_prompt)
        sampling = Sampling(config.temperature, config.max_step, config.max_completion, config.max_observation)
        self.rollouts = Rollouts(self.environment, self.chat, sampling)
        self._writing = None if config.writing_dtype is None else WritingCopy(model, config.writing_dtype)
        self.model = with_adapter(model, config)
        self.latest: dict[str, float] = {}

    def imitate(self, demonstrations: Sequence[Demonstration]) -> None:
        """Learn to write what is demonstrated.

        Raises:
            SettingError: there is nothing to imitate.
        """
        config = self.config
        if not demonstrations:
            raise SettingError("There is nothing to imitate: no query of the table is solved by any pair.")
        datasets, trl = self._trl
        needed = min(len(demonstrations), config.imitation_steps * config.imitation_batch)
        order = np.random.default_rng(self.seed).permutation(len(demonstrations))[:needed]
        told = [to_tokens(self.environment, self.chat, demonstrations[number]) for number in order]
        data = datasets.Dataset.from_list(
            [{"input_ids": one.ids, "completion_mask": [0] * len(one.prompt) + one.mask} for one in told]
        )
        arguments = trl.SFTConfig(
            **self._arguments("imitation", config.imitation_steps, config.imitation_rate),
            per_device_train_batch_size=config.imitation_batch,
            completion_only_loss=True,
            max_length=None,
        )
        with left_as_it_was(self.model):
            trainer = trl.SFTTrainer(
                model=self.model,
                args=arguments,
                train_dataset=data,
                processing_class=self.chat.tokenizer,
                callbacks=[self._callback("imitation", config.imitation_steps)],
            )
            _quiet(trainer).train()

    def improve(self, *, resume: bool = False) -> None:
        """Improve the policy by GRPO.

        Args:
            resume: continue from the last checkpoint in the folder, with the same weights as without the interruption.
        """
        config = self.config
        datasets, trl = self._trl
        data = datasets.Dataset.from_dict({"prompt": [str(row) for row in range(len(self.environment))]})
        size = config.groups * config.group_size
        batch = config.mini_batch or size
        if size % batch:
            raise SettingError(f"mini_batch is {batch}; it must divide the {size} episodes of an update.")
        arguments = trl.GRPOConfig(
            **self._arguments("grpo", config.steps, config.learning_rate),
            save_strategy="steps",
            save_steps=config.checkpoint_every,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=size // batch,
            num_generations=config.group_size,
            max_completion_length=config.max_completion,
            beta=config.kl,
            temperature=config.temperature,
            lr_scheduler_type="constant",
            shuffle_dataset=config.shuffled,
        )
        with left_as_it_was(self.model):
            trainer = trl.GRPOTrainer(
                model=self.model,
                reward_funcs=[_component(name) for name in COMPONENTS],
                args=arguments,
                train_dataset=data,
                processing_class=self.chat.tokenizer,
                rollout_func=self._rollout,
                callbacks=[self._callback("grpo", config.steps)],
            )
            _quiet(trainer).train(resume_from_checkpoint=True if resume else None)

    def play(self, rows: Sequence[int], *, greedy: bool = True, batch: int = 64) -> list[EpisodeRollout]:
        """Play episodes with the policy as it is now."""
        model = self._writer(self.model)
        return [
            rollout
            for start in range(0, len(rows), batch)
            for rollout in self.rollouts.play(model, rows[start : start + batch], greedy=greedy)
        ]

    def _rollout(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        model = self._writer(trainer.accelerator.unwrap_model(trainer.model))
        played = self.rollouts.play(model, [int(prompt) for prompt in prompts])
        parts = [self.environment.components(one.episode) for one in played]
        self.latest = statistics(self.environment, played)
        return {
            "prompt_ids": [one.tokens.prompt for one in played],
            "completion_ids": [one.tokens.completion for one in played],
            "env_mask": [one.tokens.mask if self.config.masked else [1] * len(one.tokens.mask) for one in played],
            "logprobs": None,
            **{f"reward_{name}": [part[name] for part in parts] for name in COMPONENTS},
        }

    def _writer(self, model: Any) -> Any:
        return model if self._writing is None else self._writing.synced(model)

    def _arguments(self, part: str, steps: int, rate: float) -> dict[str, Any]:
        import torch

        cuda = torch.cuda.is_available()
        strategy = {} if part == "grpo" else {"save_strategy": "no", "lr_scheduler_type": "constant_with_warmup"}
        return {
            "output_dir": str(self.folder / part),
            "max_steps": steps,
            "learning_rate": rate,
            "logging_steps": 1,
            "report_to": "none",
            "seed": self.seed,
            "use_cpu": not cuda,
            "bf16": cuda,
            "fp16": False,
            "gradient_checkpointing": False,
            "disable_tqdm": True,
            "dataloader_pin_memory": cuda,
            **strategy,
        }

    def _callback(self, part: str, steps: int) -> Any:
        return _curves(self, part, steps)


def statistics(environment: Environment, played: Sequence[EpisodeRollout]) -> dict[str, float]:
    """Return what episodes came to, as means: score, dollars per 1000, calls, and shares.

    The shares are those of well-formed transcripts and of first calls to an optimal pair.
    """
    episodes = [one.episode for one in played]
    costs = [one.trajectory.cost_usd for one in episodes]
    known = [cost for cost in costs if cost is not None]
    return {
        "score": float(np.mean([environment.answer_score(one) for one in episodes])),
        "usd_per_1000": 1000 * float(np.mean(known)) if known else float("nan"),
        "calls": float(np.mean([len(one.called) for one in episodes])),
        "well_formed": float(np.mean([not broken_rules(one.transcript, one.pairs) for one in episodes])),
        "optimal_first": float(np.mean([environment.is_optimal(one) for one in episodes])),
    }


def _component(name: str) -> Callable[..., list[float]]:
    def component(**told: Any) -> list[float]:
        values: list[float] = told[f"reward_{name}"]
        return values

    component.__name__ = name
    return component


def _curves(owner: PolicyTrainer, part: str, steps: int) -> Any:
    """Return a callback that writes the curves, tells of the progress, and ends training when its time is up."""
    from transformers import TrainerCallback

    path, config, progress = owner.folder / CURVES, owner.config, owner._progress  # noqa: SLF001  # its own helper
    path.parent.mkdir(parents=True, exist_ok=True)

    class Curves(TrainerCallback):
        def __init__(self) -> None:
            self.start = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, **more_told: Any) -> None:
            del args, control
            logs: dict[str, Any] = more_told.get("logs") or {}
            told = {name: value for name, value in logs.items() if isinstance(value, int | float)}
            more = owner.latest if part == "grpo" and "loss" in told else {}
            line = {"part": part, "step": state.global_step, "seconds": round(time.monotonic() - self.start, 1)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, **told, **more}) + "\n")

        def on_step_end(self, args: Any, state: Any, control: Any, **more_told: Any) -> None:
            del args, more_told
            if progress is not None:
                progress(state.global_step, steps)
            if part == "grpo" and config.seconds is not None and time.monotonic() - self.start > config.seconds:
                control.should_training_stop = True

    return Curves()


def _quiet(trainer: Any) -> Any:
    """Keep a trainer from printing its log; it is in the curves."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _trl() -> tuple[Any, Any]:
    """Import what trains.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
        import peft  # noqa: F401
        import trl
    except ImportError as error:
        raise MissingExtraError("Training a language model", "train-llm") from error
    return datasets, trl
