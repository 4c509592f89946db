"""LiteLLM's MCP gateway, which every request with tools loads."""

from __future__ import annotations

import importlib.metadata
from typing import Any


def without_gateway() -> dict[str, Any]:
    """Return options that disable LiteLLM's MCP gateway if the installed `mcp` is older than the gateway requires.

    LiteLLM loads the gateway for every request with tools, and fails with mcp 1, which LangChain's MCP adapters need.
    """
    try:
        old = importlib.metadata.version("mcp").startswith("1.")
    except importlib.metadata.PackageNotFoundError:
        old = False
    return {"_skip_mcp_handler": True} if old else {}
