"""Types of what shared fixtures give, for the annotations of tests."""

from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage

from langchain_atlas import LiveExecutor, Model, Observation, Pair, Query
from langchain_atlas.testing import OpenAIServer

Serve = Callable[..., OpenAIServer]
"""Starts a local provider."""
Reach = Callable[..., Model]
"""Makes a model that is reached at a local provider."""
Run = Callable[[LiveExecutor, Pair, Query], Observation]
"""Runs a pair, in the foreground or on an event loop."""
Connect = Callable[..., LiveExecutor]
"""Makes an executor that reaches a local provider."""
Echo = Callable[[dict[str, Any]], Any]
"""Replies to a request's body."""
Invoke = Callable[..., dict[str, Any]]
"""Runs a graph in one of the ways there are, and returns its last state."""
Ask = Callable[..., AIMessage]
"""Asks a chat model in one of the ways there are."""
