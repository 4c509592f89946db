"""What a trace shows of the loop: every decision, and every run of a pair, is a run of its own.

The runs are LangChain's: they nest in whatever calls the loop, and go to LangSmith, to OpenTelemetry and to any other
callback handler that is there. Where there is none, nothing is done and nothing is sent. See ``docs/tracing.md``.
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
