"""All settings of training a language model as the policy."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from langchain_atlas.errors import SettingError
from langchain_atlas.learning.language_model.rewards import TranscriptRewards


@dataclass(frozen=True)
class LanguageModelConfig:
    """Settings of the warm-up by imitation and of GRPO; the defaults are the paper's where it names any.

    Raises:
        SettingError: a number is out of range.
    """

    steps: int = 250
    """Number of GRPO updates; 0 keeps what was imitated."""
    groups: int = 4
    """Number of queries in an update."""
    group_size: int = 8
    """Number of episodes on each query; their mean reward is the baseline."""
    learning_rate: float = 1e-5
    """Learning rate of GRPO; the paper's 1e-6 is for all weights of 3B parameters."""
    shuffled: bool = True
    """Whether an update's queries are drawn at random; otherwise they follow the table's order, which may be a
    curriculum."""
    kl: float = 0.0
    """Weight of the KL divergence from the model before GRPO; the paper's PPO has 0.001."""
    temperature: float = 1.0
    """Temperature of the rollouts."""
    mini_batch: int = 0
    """Number of episodes that are learned from at once; 0 for all of an update."""
    imitation_steps: int = 0
    """Number of updates of the supervised warm-up on transcripts; 0 for none."""
    imitation_batch: int = 16
    """Number of transcripts in one of them."""
    imitation_rate: float = 2e-4
    """Learning rate of the warm-up."""
    lora_rank: int = 16
    """Rank of the LoRA adapter; 0 trains every weight."""
    lora_alpha: int = 0
    """Scale of the adapter; 0 for twice its rank."""
    lora_targets: tuple[str, ...] = ()
    """Names of the layers that it adapts; empty for all linear ones."""
    masked: bool = True
    """Whether results, which the policy did not write, are left out of the loss."""
    rewards: TranscriptRewards = field(default_factory=TranscriptRewards)
    """Weights of the reward's components."""
    max_prompt: int = 4096
    """Maximum number of tokens of a prompt."""
    max_completion: int = 3000
    """Maximum number of tokens of an episode's steps and results."""
    max_step: int = 512
    """Maximum number of tokens of one step."""
    max_observation: int = 2048
    """Maximum number of tokens of a result."""
    dtype: str = "float32"
    """Precision of the weights, by torch's name."""
    writing_dtype: str | None = None
    """Precision of a copy that writes the rollouts; None lets the model itself write."""
    checkpoint_every: int = 50
    """Number of updates between two checkpoints."""
    seconds: float | None = None
    """Training ends after this time, whatever its steps; None for no limit."""

    def __post_init__(self) -> None:
        low = {"group_size": 2, "steps": 0, "imitation_steps": 0, "mini_batch": 0, "lora_rank": 0, "lora_alpha": 0}
        for one in fields(self):
            value: Any = getattr(self, one.name)
            if one.type == "int" and (not isinstance(value, int) or value < low.get(one.name, 1)):
                raise SettingError(f"{one.name} is {value!r}; it must be a whole number from {low.get(one.name, 1)}.")
            if one.type == "float" and not (isinstance(value, int | float) and value >= 0):
                raise SettingError(f"{one.name} is {value!r}; it must be a number from 0.")
