"""How tools report a failure to the agent: as an answer that begins with ``Error:``, not as an exception.

A caller who wants the exception sets ``handle_tool_error=False`` on the tool.
"""

from typing import Any

from langchain_core.tools import ToolException

from langchain_atlas.masking import error_text, masked


def answer_error(error: ToolException) -> str:
    """Return the answer for a failed run."""
    return masked(f"Error: {error}")


def answer_validation_error(error: Any) -> str:
    """Return the answer to arguments that the tool's schema rejects.

    Args:
        error: pydantic's `ValidationError`, of either major version.
    """
    problems = (
        f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
        for problem in error.errors()
    )
    return f"Error: {'; '.join(problems)}"


def tool_failure(error: Exception, what: str) -> Exception:
    """Convert an error from third-party code to a `ToolException`, so that it becomes an answer.

    Args:
        error: the exception. A `ToolException`, or an interrupt of the graph that uses the tool, is returned unchanged.
        what: what failed, for the answer.
    """
    from langgraph.errors import GraphBubbleUp

    if isinstance(error, ToolException | GraphBubbleUp):
        return error
    return ToolException(f"{what}: {error_text(error)}")
