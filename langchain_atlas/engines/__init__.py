"""Where long work is done: in this process, or on the machines of a Ray cluster."""

from langchain_atlas.engines.base import Engine, Host, LocalEngine, LostUnitError, current_engine, using_engine

__all__ = ["Engine", "Host", "LocalEngine", "LostUnitError", "current_engine", "using_engine"]
