"""Running a sentence-transformers model with torch."""

from __future__ import annotations

import importlib.util
import threading
from typing import TYPE_CHECKING, Any

from langchain_atlas.encoders.finding import cannot_load, model_folder
from langchain_atlas.errors import MissingExtraError, first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TorchModel:
    """A sentence-transformers model run by torch.

    Args:
        name: a model's name or folder.
        settings: further arguments of the model in ``transformers``.

    Raises:
        SettingError: it can't be loaded.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        if importlib.util.find_spec("sentence_transformers") is None:
            raise MissingExtraError("Running or exporting an encoder with torch", package="sentence-transformers")
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self.model = SentenceTransformer(str(model_folder(name) or name), device="cpu", model_kwargs=settings)
        except (OSError, ValueError) as error:
            raise cannot_load(name, first_line(error)) from error
        self._lock = threading.Lock()

    def encode(self, texts: list[str], batch_size: int) -> NDArray[np.float32]:
        """Encode texts, shape [n, dimension]."""
        with self._lock:  # threads must not share a tokenizer
            vectors: NDArray[np.float32] = self.model.encode(
                texts, batch_size=batch_size, show_progress_bar=False, convert_to_numpy=True
            )
        return vectors
