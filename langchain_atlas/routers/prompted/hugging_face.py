"""A causal language model in this process: loaded, given trained weights, and made to write steps."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from langchain_atlas.errors import ArtifactError, InvalidInputError, MissingExtraError, first_line
from langchain_atlas.pool.embedded import EMBEDDED, is_embedded
from langchain_atlas.routers.prompted.conversation import STOPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "user"}


def load_causal_model(name: str, dtype: str = "float32", device: str | None = None) -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer.

    Args:
        name: a folder, a GGUF file, the name of a model in the Hugging Face cache, or ``atlas-local/`` with the name of
            an embedded model.
        dtype: precision of the weights, by torch's name.
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
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(where, **options)
        model: Any = AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, dtype), **options)
    except ImportError as error:
        raise MissingExtraError(f"The policy {name!r}", "train-llm") from error
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            f"Can't load {name!r} as a language model: {first_line(error)}. Name a folder, a GGUF file, a model "
            "that is in the Hugging Face cache, or 'atlas-local/smollm2-135m'."
        ) from error
    if options:  # read from a GGUF file, the weights are ordinary ones
        model.config.__dict__.pop("quantization_config", None)
        model.is_quantized, model.hf_quantizer = False, None
        model.__dict__.pop("quantization_method", None)
        # some releases of transformers take the token that starts a turn for the one that ends it
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(model.config.eos_token_id)
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")), tokenizer


def _source(name: str) -> tuple[str, dict[str, str]]:
    """Return where a model is loaded from, and the options with which."""
    path = Path(name)
    if is_embedded(name):
        from langchain_atlas.local.models import find_model

        path = find_model(name.removeprefix(EMBEDDED)).weights()
    if path.suffix == ".gguf":
        return str(path.parent), {"gguf_file": path.name}
    return name, {}


def write_steps(
    model: Any, tokenizer: Any, contexts: Sequence[list[int]], *, max_step: int, temperature: float = 0.0
) -> list[list[int]]:
    """Continue each context by one step.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        contexts: token ids to continue.
        max_step: maximum number of tokens of a step.
        temperature: 0 for the most likely token.

    Returns:
        The new ids, up to the end of the step.
    """
    import torch

    pad, longest = tokenizer.pad_token_id, max(map(len, contexts))
    ids = torch.tensor([[pad] * (longest - len(one)) + one for one in contexts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in contexts], device=model.device)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}
    with torch.no_grad():
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_step,
            pad_token_id=pad,
            eos_token_id=tokenizer.eos_token_id,
            stop_strings=list(STOPS),
            tokenizer=tokenizer,
            **{"do_sample": False, **how},
        )
    return [_until_end(row, tokenizer) for row in made[:, longest:].tolist()]


def _until_end(ids: list[int], tokenizer: Any) -> list[int]:
    """Cut what follows the end of a step: padding, which may be the token that ends a text."""
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if end in ids:
        cut = ids.index(end)
        # after a stop sequence the rest is padding; without one the policy ended its turn itself
        stopped = tokenizer.decode(ids[:cut], skip_special_tokens=True).rstrip().endswith(STOPS)
        return ids[:cut] if stopped else ids[: cut + 1]
    return ids[: ids.index(pad)] if pad in ids else ids


@dataclass(frozen=True)
class PolicyWeights:
    """A language model as training left it: a base, and what was changed."""

    base: str
    """The model that was trained; see `load_causal_model`."""
    scale: float | None = None
    """Scale of the LoRA adapter; None if whole weights were trained."""
    arrays: Mapping[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    """What was trained, by name: the adapter's factors, or whole weights."""
    max_step: int = 512
    """Maximum number of tokens of a step."""

    def load(self) -> tuple[Any, Any]:
        """Load the base and apply what was trained.

        Raises:
            ArtifactError: it was trained on another base.
        """
        import torch

        model, tokenizer = load_causal_model(self.base)
        weights = dict(model.named_parameters())
        try:
            with torch.no_grad():
                for name, array in self.arrays.items():
                    self._apply(name, torch.from_numpy(array.copy()).to(model.device), weights)
        except (KeyError, RuntimeError) as error:
            raise ArtifactError(
                f"What was trained does not fit {self.base!r}: {first_line(error)}. Train again."
            ) from error
        return model.eval(), tokenizer

    def _apply(self, name: str, trained: Any, weights: Mapping[str, Any]) -> None:
        import torch

        if self.scale is None:
            weights[name].copy_(trained)
        elif name.endswith(_DOWN):
            up = torch.from_numpy(self.arrays[name.removesuffix(_DOWN) + _UP].copy()).to(trained.device)
            whole = f"{name.removesuffix(_DOWN).removeprefix(_ADAPTED)}.weight"
            weights[whole].add_(self.scale * (up @ trained))


_ADAPTED, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
"""How peft names the factors of an adapter."""


class InProcessModel(BaseChatModel):
    """A trained policy as a chat model; it is loaded when it is first called, and writes one step at a time."""

    weights: Any
    """The `PolicyWeights`."""

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _loaded: Any = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "langchain-atlas-policy"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **_: Any
    ) -> ChatResult:
        del stop, run_manager  # it always stops after a step
        with self._lock:
            if self._loaded is None:
                self._loaded = self.weights.load()
            model, tokenizer = self._loaded
            said = [{"role": _ROLES[one.type], "content": str(one.text)} for one in messages]
            prompt = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            written = write_steps(model, tokenizer, [ids], max_step=self.weights.max_step)[0]
        counts = {"input_tokens": len(ids), "output_tokens": len(written), "total_tokens": len(ids) + len(written)}
        message = AIMessage(tokenizer.decode(written, skip_special_tokens=True), usage_metadata=counts)
        return ChatResult(generations=[ChatGeneration(message=message)])
