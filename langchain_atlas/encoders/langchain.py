"""Any LangChain `Embeddings` as an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.encoders.base import Encoder

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from numpy.typing import NDArray


class EmbeddingsEncoder(Encoder):
    """Any LangChain `Embeddings`.

    Args:
        embeddings: the embedding model.
        name: its name in saved routers.
        cache_size: number of texts to cache.
        calls_out: whether texts leave this process, as for a provider's embeddings; False for a model that runs here.
    """

    def __init__(self, embeddings: Embeddings, name: str, cache_size: int = 10_000, *, calls_out: bool = True) -> None:
        super().__init__(name, cache_size)
        self._embeddings = embeddings
        self.calls_out = calls_out

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return np.asarray(self._embeddings.embed_documents(texts), dtype=np.float32)
