"""Fakes and tests for people who build on langchain-atlas.

`FakeEncoder`, `ScriptedRouter` and `ScriptedExecutor` replace the real ones in unit tests; `OpenAIServer` is a local
model provider with scripted replies, and `PromptCache` counts what such a provider would have cached; `TraceServer`
receives the traces that would go to LangSmith or to an OpenTelemetry collector; `RouterConformance` holds the tests
that every router must pass, and `IntegrationConformance` those that every integration must pass.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.testing.fakes import FakeEncoder, ScriptedExecutor, ScriptedRouter
from langchain_atlas.testing.prompt_cache import PromptCache
from langchain_atlas.testing.server import HANG, Broken, Failure, OpenAIServer, Request, call_tool, images_of
from langchain_atlas.testing.trace_server import TracedRun, TracedSpan, TraceServer

if TYPE_CHECKING:
    from langchain_atlas.testing.conformance import RouterConformance
    from langchain_atlas.testing.integrations import IntegrationConformance

_CONFORMANCE = {
    "IntegrationConformance": "langchain_atlas.testing.integrations",
    "RouterConformance": "langchain_atlas.testing.conformance",
}
"""Modules of the conformance tests, the only ones that need pytest."""

__all__ = [
    "HANG",
    "Broken",
    "Failure",
    "FakeEncoder",
    "IntegrationConformance",
    "OpenAIServer",
    "PromptCache",
    "Request",
    "RouterConformance",
    "ScriptedExecutor",
    "ScriptedRouter",
    "TraceServer",
    "TracedRun",
    "TracedSpan",
    "call_tool",
    "images_of",
]


def __getattr__(name: str) -> Any:
    if name not in _CONFORMANCE:
        raise AttributeError(f"module 'langchain_atlas.testing' has no attribute {name!r}")
    import pytest

    module = _CONFORMANCE[name]
    if module not in sys.modules:
        pytest.register_assert_rewrite(module)  # so that a failing assertion shows its values
    return getattr(import_module(module), name)
