"""A check by the tools themselves: how their calls ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_atlas.execution.verifiers.base import Verifier, failed, passed, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_atlas.trajectory import Observation, Query, Verdict


class ToolsVerifier(Verifier):
    """Checks that the last call of each tool ended well: a test run, a compiler, a query of a database.

    Args:
        names: names of the LangChain tools that count; all by default.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        self.names = None if names is None else frozenset([names] if isinstance(names, str) else names)

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        del query
        last = {trace.name: trace for trace in observation.tool_trace if self.names is None or trace.name in self.names}
        if not last:
            return unknown("None of the tools was called.")
        wrong = next((trace for trace in last.values() if trace.error is not None), None)
        if wrong is not None:
            return failed(f"The last call of {wrong.name} failed: {(wrong.error or '')[:200]}")
        return passed("The last call of each tool ended well.")
