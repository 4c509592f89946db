"""The embedded models: their names, their weights, and their prompt formats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from langchain_atlas.errors import InvalidInputError, MissingExtraError, suggest
from langchain_atlas.local.prompts import Turn, chatml, question_answer
from langchain_atlas.local.weights import gemma_weights, smollm2_weights


@dataclass(frozen=True)
class LocalModel:
    """A model that runs inside this process."""

    name: str
    """The name after `atlas-local/`."""
    description: str
    """Description, in one sentence."""
    weights: Callable[[], Path]
    """Returns the path of the GGUF file; raises `MissingExtraError` if the package is not installed."""
    write_prompt: Callable[[Sequence[Turn]], str]
    """Converts the conversation to the text that the model continues."""
    stop: tuple[str, ...] = ()
    """Stop sequences in addition to the caller's; not used if the output is constrained."""
    context_size: int = 4096
    """Context size, in tokens of prompt and answer together."""
    max_tokens: int = 256
    """Maximum tokens of the answer if the caller sets no limit: a small model may never stop by itself."""


_SMOLLM2 = LocalModel(
    name="smollm2-135m",
    description="SmolLM2-135M-Instruct, 4 bit: small talk, plain words, copying numbers into a formula.",
    weights=smollm2_weights,
    write_prompt=chatml,
)

_GEMMA = LocalModel(
    name="gemma-3-270m",
    description="Gemma-3-270M (base), 4 bit: short facts, colours, proverbs, copying text word for word.",
    weights=gemma_weights,
    write_prompt=question_answer,
    # A base model continues with invented questions and answers.
    stop=("\nQuestion:", "\nAnswer:"),
)

MODELS: Mapping[str, LocalModel] = MappingProxyType({model.name: model for model in (_SMOLLM2, _GEMMA)})
"""Every embedded model by name."""


def find_model(name: str) -> LocalModel:
    """Look up an embedded model by name.

    Args:
        name: a key of `MODELS`, such as ``"smollm2-135m"``.

    Returns:
        The model; nothing is loaded yet.

    Raises:
        InvalidInputError: no model has this name.
    """
    try:
        return MODELS[name]
    except KeyError:
        raise InvalidInputError(f"Unknown embedded model {name!r}. {suggest(name, MODELS)}") from None


def installed_models() -> list[str]:
    """List the embedded models whose weights are installed.

    Returns:
        Their names, in the order of `MODELS`; empty without the extra `local`.
    """
    return [name for name, model in MODELS.items() if _is_installed(model)]


def _is_installed(model: LocalModel) -> bool:
    try:
        model.weights()
    except MissingExtraError:
        return False
    return True
