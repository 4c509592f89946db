"""Models, tools, pairs of them, pools of pairs, and the files that pools come in."""

from langchain_atlas.pool.pairs import SEPARATOR, Pair, read_pairs
from langchain_atlas.pool.pool import NO_TOOL, Modality, Model, Pool, Tool

__all__ = ["NO_TOOL", "SEPARATOR", "Modality", "Model", "Pair", "Pool", "Tool", "read_pairs"]
