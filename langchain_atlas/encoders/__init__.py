"""Text to vectors: models of sentence-transformers, static ones of model2vec, and any LangChain `Embeddings`."""

from langchain_atlas.encoders.base import Encoder
from langchain_atlas.encoders.finding import DEFAULT_ENCODER
from langchain_atlas.encoders.langchain import EmbeddingsEncoder
from langchain_atlas.encoders.sentence_transformers import SentenceTransformerEncoder
from langchain_atlas.encoders.static import StaticEncoder

__all__ = ["DEFAULT_ENCODER", "EmbeddingsEncoder", "Encoder", "SentenceTransformerEncoder", "StaticEncoder"]
