"""Hugging Face models for training: found, loaded, given an adapter, and copied for writing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import InvalidInputError, MissingExtraError, SettingError

if TYPE_CHECKING:
    from langchain_atlas.learning.language_model.config import LanguageModelConfig

_EMBEDDED = "atlas-local/"


def load_model(name: str, config: LanguageModelConfig, *, device: str | None = None) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer.

    Args:
        name: a folder, a GGUF file, the name of a model on the Hugging Face Hub, or ``atlas-local/`` with the name of
            an embedded model.
        config: says in which precision.
        device: where to put it; by default a GPU if there is one.

    Returns:
        The model and the tokenizer.

    Raises:
        InvalidInputError: no such model can be loaded.
        MissingExtraError: reading a GGUF file needs the extra `train-llm`.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where, options = _source(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        model = AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, config.dtype), **options)
    except ImportError as error:
        raise MissingExtraError(f"The policy {name!r}", "train-llm") from error
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"Can't load {name!r} as a language model: {error}. Name a folder, a GGUF file, a model that is in the "
            "Hugging Face cache, or 'atlas-local/smollm2-135m'."
        ) from error
    if options:  # read from a GGUF file, the weights are ordinary ones
        model.config.__dict__.pop("quantization_config", None)
        model.is_quantized, model.hf_quantizer = False, None
        model.__dict__.pop("quantization_method", None)
        # some releases of transformers take the token that starts a turn for the one that ends it
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(model.config.eos_token_id)
        tokenizer.pad_token = tokenizer.eos_token
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.to(device), tokenizer


def _source(name: str) -> tuple[str, dict[str, str]]:
    """Return where a model is loaded from, and the options with which."""
    path = Path(name)
    if name.startswith(_EMBEDDED):
        from langchain_atlas.local.models import find_model

        path = find_model(name.removeprefix(_EMBEDDED)).weights()
    if path.suffix == ".gguf":
        return str(path.parent), {"gguf_file": path.name}
    return name, {}


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
        target_modules=config.lora_targets or "all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


class WritingCopy:
    """A copy of a model that writes, in another precision and without an adapter's extra steps.

    Args:
        model: the model, before it gets an adapter.
        dtype: precision of the copy, by torch's name.
    """

    def __init__(self, model: Any, dtype: str) -> None:
        import torch

        self.model = copy.deepcopy(model).to(getattr(torch, dtype)).eval()
        self.model.requires_grad_(False)  # noqa: FBT003  # torch's own signature

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


def check_rank(rank: int) -> None:
    """Check the rank of an adapter.

    Raises:
        SettingError: it is negative.
    """
    if not isinstance(rank, int) or rank < 0:
        raise SettingError(f"lora_rank is {rank!r}; it must be a whole number from 0, for training every weight.")
