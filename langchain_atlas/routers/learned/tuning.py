"""Routers that fine-tune their own text encoder, and that encoder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from langchain_atlas.encoders import Encoder
from langchain_atlas.encoders.finding import packaged_folder
from langchain_atlas.encoders.static import PREFIX
from langchain_atlas.errors import SettingError, first_line
from langchain_atlas.routers.learned.base import EstimatingRouter
from langchain_atlas.routers.learned.descent import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from langchain_atlas.routers.saved.artifact import Artifact

_PREFIX = "network."
_TEXTS = ("tokenizer", "config")
_BATCH = 32


class TunedEncoder(Encoder):
    """A Hugging Face encoder that can be fine-tuned; a text's embedding is the mean over its tokens, of length one.

    Args:
        name: its name.
        network: the encoder, a `transformers.PreTrainedModel`.
        tokenizer: its `tokenizers.Tokenizer`, which truncates and pads.
    """

    def __init__(self, name: str, network: Any, tokenizer: Any) -> None:
        super().__init__(name)
        self.network = network.eval()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, model: str, max_tokens: int) -> Self:
        """Load a published encoder.

        Args:
            model: a model's name or folder; the packaged folder is used for the default encoder's name.
            max_tokens: longer texts are truncated to this many tokens.

        Raises:
            SettingError: the model can't be found, or its tokenizer can't be used.
        """
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        source = str(packaged_folder(model) or model)
        try:
            network = AutoModel.from_pretrained(source).float()
            wrapped = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise SettingError(
                f"Can't load the model {model!r}: {first_line(error)}. Give the name or folder of a Hugging "
                "Face encoder, or install the extra 'local' for 'all-MiniLM-L6-v2'."
            ) from error
        tokenizer = getattr(wrapped, "backend_tokenizer", None)
        if tokenizer is None or wrapped.pad_token is None:
            raise SettingError(f"The model {model!r} has no fast tokenizer with a padding token; take an encoder.")
        tokenizer.enable_truncation(min(max_tokens, wrapped.model_max_length))
        tokenizer.enable_padding(pad_id=wrapped.pad_token_id, pad_token=wrapped.pad_token)
        return cls(model, network, tokenizer)

    def represent(self, texts: list[str]) -> Tensor:
        """Encode one batch so that gradients flow, shape [n, dimension]."""
        import torch

        encoded = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([item.ids for item in encoded])
        mask = torch.tensor([item.attention_mask for item in encoded])
        states = self.network(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=1)

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return self.vectors(texts)

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode texts with the current weights, without a cache; shape [n, dimension]."""
        import torch

        order = np.argsort([len(text) for text in texts], kind="stable")  # similar lengths together need little padding
        vectors: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                batch = [texts[number] for number in order[start : start + _BATCH]]
                vectors.append(self.represent(batch).numpy())
        return np.concatenate(vectors)[np.argsort(order)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the whole encoder as arrays for saving: weights, and tokenizer and configuration as bytes."""
        texts = (self._tokenizer.to_str(), json.dumps(self.network.config.to_dict()))
        written = {name: np.frombuffer(text.encode(), dtype=np.uint8) for name, text in zip(_TEXTS, texts, strict=True)}
        weights = {name: tensor.numpy(force=True) for name, tensor in self.network.state_dict().items()}
        return {_PREFIX + name: array for name, array in {**written, **weights}.items()}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild an encoder from what `arrays` returned."""
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoConfig, AutoModel

        weights = {key.removeprefix(_PREFIX): array for key, array in arrays.items() if key.startswith(_PREFIX)}
        tokenizer, config = (weights.pop(text).tobytes().decode() for text in _TEXTS)
        with seeded(0):  # initial weights are drawn at random, though the saved ones replace them
            network = AutoModel.from_config(AutoConfig.for_model(**json.loads(config)))  # type: ignore[no-untyped-call]
        network.float().load_state_dict({key: torch.from_numpy(array.copy()) for key, array in weights.items()})
        return cls(name, network, Tokenizer.from_str(tokenizer))


def check_model(name: str, value: object) -> None:
    """Check that a parameter can name a model; whether the model exists is checked when it is loaded.

    Raises:
        SettingError: it can't name one.
    """
    if not isinstance(value, str) or not value or value.startswith(PREFIX):
        raise SettingError(
            f"{name} is {value!r}; it must be the name or folder of a Hugging Face encoder, which is fine-tuned."
        )


class TuningRouter(EstimatingRouter):
    """A router with an encoder that was fine-tuned with it, and is saved with it."""

    @property
    def tuned_model(self) -> str | None:
        """Name of the model that is fine-tuned; None when the encoder is not."""
        return None

    def _encoder_identity(self) -> dict[str, Any] | None:
        return super()._encoder_identity() if self.tuned_model is None else None

    @classmethod
    def from_artifact(cls, artifact: Artifact, encoder: Encoder | None) -> Self:
        """Rebuild the router from what `save` wrote, with the encoder that was fine-tuned with it."""
        router = super().from_artifact(artifact, encoder)
        if router.tuned_model is not None:
            router.encoder = TunedEncoder.from_arrays(router.tuned_model, router.arrays_)
        return router
