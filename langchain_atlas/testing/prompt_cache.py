"""A provider's prompt cache, for scripted replies whose usage says how much of the prompt was cached."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class PromptCache:
    """Remembers the prompts of each model, and counts how much of a new one starts like an earlier one.

    One token per word. Safe to share between threads. In the script of an `OpenAIServer`::

        cache = PromptCache()
        server = OpenAIServer(lambda body: {"content": "42", "usage": cache.usage(body, "42")})

    Args:
        ttl_s: seconds that a prompt is kept after it was last read.
        fewest: shortest prompt that is kept, in tokens.
        clock: tells the time, in seconds.
    """

    def __init__(self, *, ttl_s: float = 300.0, fewest: int = 1024, clock: Callable[[], float] = time.time) -> None:
        self._ttl_s = ttl_s
        self._fewest = fewest
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, list[tuple[float, list[str]]]] = {}

    def usage(self, body: Mapping[str, Any], reply: str) -> dict[str, Any]:
        """Return the ``usage`` of a reply to a request's body, and keep the prompt."""
        prompt = _words(body)
        with self._lock:
            now, model = self._clock(), str(body.get("model"))
            kept = [(used, words) for used, words in self._kept.get(model, []) if now - used <= self._ttl_s]
            cached = max((_shared(prompt, words) for _, words in kept), default=0)
            cached = cached if cached >= self._fewest else 0
            if len(prompt) >= self._fewest:
                kept = [(used, words) for used, words in kept if _shared(prompt, words) < len(words)]
                kept.append((now, prompt))
            self._kept[model] = kept
        written = len(reply.split())
        return {
            "prompt_tokens": len(prompt),
            "completion_tokens": written,
            "total_tokens": len(prompt) + written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


def _words(body: Mapping[str, Any]) -> list[str]:
    """Return the words of a prompt in the order in which a model reads them: tools, then messages."""
    words = json.dumps(body.get("tools", []), sort_keys=True).split()
    for message in body["messages"]:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else json.dumps(content)
        words += [f"<{message['role']}>", *text.split(), *json.dumps(message.get("tool_calls") or "").split()]
    return words


def _shared(one: list[str], other: list[str]) -> int:
    """Return how many words two prompts start with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
