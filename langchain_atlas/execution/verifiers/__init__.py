"""Verifiers: checks of an answer by something other than another answer. See ``docs/verifiers.md``."""

from langchain_atlas.execution.verifiers.base import FunctionVerifier, Verifier, Verifiers, as_verifier
from langchain_atlas.execution.verifiers.citations import CitationVerifier
from langchain_atlas.execution.verifiers.code import CompileVerifier, ExamplesVerifier
from langchain_atlas.execution.verifiers.judge import JudgeVerifier
from langchain_atlas.execution.verifiers.numbers import NumberVerifier
from langchain_atlas.execution.verifiers.schemas import CallsVerifier, SchemaVerifier
from langchain_atlas.execution.verifiers.tools import ToolsVerifier

__all__ = [
    "CallsVerifier",
    "CitationVerifier",
    "CompileVerifier",
    "ExamplesVerifier",
    "FunctionVerifier",
    "JudgeVerifier",
    "NumberVerifier",
    "SchemaVerifier",
    "ToolsVerifier",
    "Verifier",
    "Verifiers",
    "as_verifier",
]
