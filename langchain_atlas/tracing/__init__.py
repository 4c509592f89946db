"""Tracing the loop: every decision, and every run of a pair, is a separate run in the trace.

The runs are LangChain runs: they are nested in the caller's run, and go to LangSmith, to OpenTelemetry and to any other
callback handler. Without a handler, nothing is recorded or sent. See ``docs/tracing.md``.
"""

from langchain_atlas.tracing.privacy import HIDDEN, hide_texts
from langchain_atlas.tracing.runs import (
    adecision_run,
    aexecution_run,
    asolve_run,
    decision_run,
    execution_run,
    is_observed,
    solve_run,
    untraced,
)

__all__ = [
    "HIDDEN",
    "adecision_run",
    "aexecution_run",
    "asolve_run",
    "decision_run",
    "execution_run",
    "hide_texts",
    "is_observed",
    "solve_run",
    "untraced",
]
