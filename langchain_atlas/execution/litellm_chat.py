"""`ChatLiteLLM` with retries that wait briefly and repeat only what may pass.

Imports LiteLLM, which takes seconds, and so is itself imported where a model is first called.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from pydantic import Field

from langchain_atlas.execution.plain_chat import PlainChatLiteLLM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun

_PASSING = frozenset({409, 429, 500, 502, 503, 504})
"""HTTP statuses of failures that may pass."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 8.0
_LONGEST_ASKED_S = 30.0


class RetryingChatLiteLLM(PlainChatLiteLLM):
    """Repeats a request that failed for a passing reason; a stream is repeated only before it has begun.

    LiteLLM's own ``num_retries`` sends up to twice as many requests as it says, repeats refused keys and malformed
    requests too, and repeats timeouts, so that a caller waits five times as long as it allowed; `ChatLiteLLM`'s waits
    at least 4 seconds. A timeout is not repeated here: whoever routes can go to another model instead.
    """

    retries: int = Field(default=0, ge=0)
    """How often a request is repeated."""

    def completion_with_retry(self, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any) -> Any:
        """Send a request, and repeat it if need be."""
        del run_manager
        attempt = 0
        while True:
            try:
                return self.client.completion(**kwargs)
            except Exception as error:
                seconds = pause(error, attempt) if attempt < self.retries else None
                if seconds is None:
                    raise
            time.sleep(seconds)
            attempt += 1

    async def acompletion_with_retry(
        self, run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Any:
        """Do what `completion_with_retry` does on the event loop."""
        del run_manager
        attempt = 0
        while True:
            try:
                return await self.client.acompletion(**kwargs)
            except Exception as error:
                seconds = pause(error, attempt) if attempt < self.retries else None
                if seconds is None:
                    raise
            await asyncio.sleep(seconds)
            attempt += 1


def pause(error: Exception, attempt: int) -> float | None:
    """Return the seconds to wait before a request is repeated, or None where repeating it is no use.

    Args:
        error: what LiteLLM raised.
        attempt: how often the request was repeated already.
    """
    if getattr(error, "status_code", None) not in _PASSING:
        return None
    headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    try:
        asked = float(headers.get("retry-after", ""))
    except ValueError:  # not given, or given as a date
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
        return longest * random.uniform(0.5, 1)  # noqa: S311  # spreads callers out, guards nothing
    return asked if 0 <= asked <= _LONGEST_ASKED_S else None
