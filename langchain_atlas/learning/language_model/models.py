"""Models in training: given an adapter, copied for writing, and kept as what was changed."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import MissingExtraError
from langchain_atlas.routers.prompted.hugging_face import PolicyWeights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_atlas.learning.language_model.config import LanguageModelConfig


def with_adapter(model: Any, config: LanguageModelConfig) -> Any:
    """Return the model with a fresh LoRA adapter; the model itself if `lora_rank` is 0.

    Raises:
        MissingExtraError: peft is not installed.
    """
    if config.lora_rank == 0:
        return model
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("Training a language model", "train-llm") from error
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha or 2 * config.lora_rank,
        lora_dropout=0.0,
        target_modules=list(config.lora_targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


@contextmanager
def left_as_it_was(model: Any) -> Iterator[None]:
    """Take away, in the end, every forward that a trainer put on a model.

    TRL's trainers replace `forward` on the model itself by a function that holds the method it replaced.
    A copy of such a model would go on writing with the weights of the model it was copied from, whatever it learns.
    """
    before = {module: vars(module).get("forward") for module in model.modules()}
    try:
        yield
    finally:
        for module in model.modules():
            if vars(module).get("forward") is before.get(module):
                continue
            if before.get(module) is None:
                del module.forward
            else:
                module.forward = before[module]


class WritingCopy:
    """A copy of a model that writes, in another precision and without an adapter's extra steps.

    Args:
        model: the model, before it gets an adapter.
        dtype: precision of the copy, by torch's name.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        import torch

        self.model = copy.deepcopy(model).to(getattr(torch, dtype)).eval()
        self.model.requires_grad_(False)  # torch's own signature

    def synced(self, trained: Any) -> Any:
        """Return the copy with the weights of the model that is trained."""
        import torch

        base = trained.get_base_model() if hasattr(trained, "get_base_model") else trained
        with torch.no_grad():
            if base is trained:
                mine = dict(self.model.named_parameters())
                for name, weights in trained.named_parameters():
                    mine[name].copy_(weights)
                return self.model
            for name, module in base.named_modules():
                if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer"):
                    changed = module.base_layer.weight + module.get_delta_weight("default")
                    self.model.get_submodule(name).weight.copy_(changed)
        return self.model


def trained_weights(model: Any, base: str, config: LanguageModelConfig) -> PolicyWeights:
    """Return what training changed, as it is saved with a router.

    Args:
        model: the trained model.
        base: the name of the model that was trained.
        config: the settings of training.
    """
    if config.lora_rank == 0:
        named = dict(model.named_parameters())
        scale = None
    else:
        from peft import get_peft_model_state_dict

        named, scale = get_peft_model_state_dict(model), (config.lora_alpha or 2 * config.lora_rank) / config.lora_rank
    arrays = {name: value.detach().float().cpu().numpy() for name, value in named.items()}
    return PolicyWeights(base, scale, arrays, config.max_step)
