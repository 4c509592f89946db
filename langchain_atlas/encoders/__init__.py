"""Text to vectors: sentence-transformers models, run by ONNX Runtime or torch, and any LangChain `Embeddings`."""

from langchain_atlas.encoders.base import Encoder
from langchain_atlas.encoders.finding import DEFAULT_ENCODER
from langchain_atlas.encoders.langchain import EmbeddingsEncoder
from langchain_atlas.encoders.sentence_transformers import SentenceTransformerEncoder

__all__ = ["DEFAULT_ENCODER", "EmbeddingsEncoder", "Encoder", "SentenceTransformerEncoder"]
