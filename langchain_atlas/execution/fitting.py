"""Pairs that can't take a query: their model can't hold or read it, or their tool needs a graph that is missing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import ConstraintError
from langchain_atlas.execution.in_graph import current_scope, injected
from langchain_atlas.execution.invocations.calls.schemas import tool_schema
from langchain_atlas.messages.content_blocks import NAMES, media_of, text_in
from langchain_atlas.messages.user_message import media_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from langchain_core.messages import BaseMessage

    from langchain_atlas.execution.invocations import Invocation
    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.trajectory import Query

_SHOWN_TOOLS = frozenset({"native", "prompted", "backtracked"})
"""Invocations that send the tools' descriptions to the model."""
_A_MESSAGE = 4
"""Overhead of a message, in tokens."""
_A_FILE = 85
"""Minimum number of tokens of an image, a document or a recording."""
_PIECE = re.compile(r"(?P<word>[A-Za-z]+)|(?P<digits>\d+)|(?P<marks>[!-/:-@\[-`{-~]+)|(?P<other>[^\x00-\x7f]+)")
_FAR_EAST = "\u2e80"


def estimated_tokens(text: str) -> int:
    """Estimate the number of tokens of a text: for prose and code, within a seventh of GPT-4o's count.

    It uses no tokenizer, because each model has its own, and loading one is slow and reads files.
    """
    total = 0.0
    for piece in _PIECE.finditer(text):
        length = len(piece[0])
        match piece.lastgroup:
            case "word":
                total += 1 + (length - 1) // 9
            case "digits":
                total += (length + 2) // 3
            case "marks":
                total += (length + 1) // 2
            case _:
                far = sum(letter >= _FAR_EAST for letter in piece[0])
                total += 0.7 * far + 0.35 * (length - far)
    return round(total)


class Fitting:
    """Determines which pairs of a pool can take a query.

    Args:
        pool: the pool.
        invocations: the invocation of each of its tools, by the tool's name.
    """

    def __init__(self, pool: Pool, invocations: Mapping[str, Invocation]) -> None:
        self._pool = pool
        self._limits = {model.name: model.max_input_tokens for model in pool.models if model.max_input_tokens}
        self._injected = {
            name: found
            for name, invocation in invocations.items()
            if (found := tuple(tool.name for tool in invocation.tools if injected(tool)))
        }
        self._shown = {name: _shown(pool.tool(name).invocation, invocation) for name, invocation in invocations.items()}

    def unable(self, query: Query, *, beside: str = "", bound: Collection[Pair] = ()) -> dict[Pair, str]:
        """Return the pairs that can't take a query, each with the reason.

        Args:
            query: the query.
            beside: text sent along that is not in the query, such as the caller's own tools as JSON.
            bound: pairs whose tools the caller runs.
        """
        unread = self._unread(query)
        too_long = self._too_long(query, beside)
        apart = {} if current_scope() is not None else self._injected
        if not (unread or too_long or apart):
            return {}
        reasons: dict[Pair, str] = {}
        for pair in self._pool.pairs:
            reason = unread.get(pair.model) or too_long.get((pair.model, pair.tool))
            if reason is None and pair.tool in apart and pair not in bound:
                names = ", ".join(apart[pair.tool])
                reason = f"the tool {names} takes its state from a graph; use an AtlasNode or create_atlas_graph"
            if reason is not None:
                reasons[pair] = reason
        return reasons

    def check(self, pair: Pair, query: Query) -> None:
        """Make sure that a pair's model is declared to read the query's files; otherwise it would answer without them.

        Raises:
            ConstraintError: it is not.
        """
        reason = self._unread(query).get(pair.model)
        if reason is not None:
            raise ConstraintError(f"{pair} can't take this query: {reason}.")

    def _unread(self, query: Query) -> dict[str, str]:
        """Return the models that can't read the query's files, each with the reason."""
        files = query.media - {"image"}
        if not files:
            return {}
        missing = {model.name: sorted(files - model.modalities) for model in self._pool.models}
        return {
            name: f"the query holds a {' and a '.join(NAMES[each] for each in kinds)}, which the model {name} is not "
            f"said to read (modalities: {', '.join(kinds)})"
            for name, kinds in missing.items()
            if kinds
        }

    def _too_long(self, query: Query, beside: str) -> dict[tuple[str, str], str]:
        """Return models with tools that can't hold the query, each with the reason."""
        if not self._limits:
            return {}
        texts = [query.text, query.context or "", beside, *(text for each in _messages(query) for text in _texts(each))]
        most = sum(4 * len(text) + _A_FILE for text in texts)  # a token has at least one byte
        longest = max(map(len, self._shown.values()))
        near = {name: limit for name, limit in self._limits.items() if most + 4 * longest > limit}
        if not near:
            return {}
        tokens = self._tokens(query, beside)
        needed = {tool: tokens + estimated_tokens(shown) for tool, shown in self._shown.items()}
        return {
            (
                name,
                tool,
            ): f"the query with its history and tools has about {count} tokens, and the model {name} reads at "
            f"most {limit}"
            for name, limit in near.items()
            for tool, count in needed.items()
            if count > limit
        }

    def _tokens(self, query: Query, beside: str) -> int:
        total = sum(map(estimated_tokens, (query.text, query.context or "", beside))) + _A_MESSAGE
        for message in _messages(query):
            total += _A_MESSAGE + sum(map(estimated_tokens, _texts(message)))
        files = len(query.images) + sum(block["type"] in ("file", "input_audio") for block in query.content)
        return total + _A_FILE * (files + _files(_messages(query)))


def _shown(invocation: str, built: Invocation) -> str:
    """Return what a tool adds to every query: its system message, and the tools' descriptions if they are sent."""
    tools = [tool_schema(tool) for tool in built.tools] if invocation in _SHOWN_TOOLS else []
    return f"{built.settings.system or ''}\n{json.dumps(tools) if tools else ''}"


def _messages(query: Query) -> tuple[BaseMessage, ...]:
    return (*query.history, *query.since)


def _texts(message: BaseMessage) -> Iterable[str]:
    blocks: Iterable[Any] = [message.content] if isinstance(message.content, str) else message.content
    for block in blocks:
        text = text_in(block)
        if text is not None:
            yield text
    for call in getattr(message, "tool_calls", ()):
        yield json.dumps(call["args"], default=str)


def _files(messages: Iterable[BaseMessage]) -> int:
    listed = [message for message in messages if isinstance(message.content, list) and media_in([message])]
    return sum(media_of(block) is not None for message in listed for block in message.content)
