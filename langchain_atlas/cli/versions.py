"""The versions that matter for a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

NEEDED = (
    "litellm",
    "langchain-litellm",
    "langchain-core",
    "langgraph",
    "pydantic",
    "numpy",
    "pyarrow",
    "scikit-learn",
    "sentence-transformers",
    "torch",
    "transformers",
)
"""Packages whose version may change what a router decides, or how a call is made."""

OPTIONAL = ("langchain", "onnxruntime", "xllamacpp", "sqlalchemy", "psycopg", "langsmith", "trl", "ray")
"""Packages of extras; one that is not installed is no fault."""


def report() -> str:
    """Return the versions, one a line, this package's first; read from metadata, so that nothing is imported."""
    lines = [
        f"langchain-atlas {_installed('langchain-atlas')}",
        f"Python {platform.python_version()} ({platform.python_implementation()})",
        f"{platform.system()} {platform.release()} {platform.machine()}",
    ]
    lines += [f"{name} {_installed(name) or 'not installed'}" for name in NEEDED]
    lines += [f"{name} {found}" for name in OPTIONAL if (found := _installed(name))]
    return "\n".join(lines)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
