"""The fixtures of these tests; see `traced`."""

from provider import reach, serve
from traced import executor, invoke, router, traces

__all__ = ["executor", "invoke", "reach", "router", "serve", "traces"]
