"""Importing, in the background, what the first call of a model needs: LiteLLM and LangChain take two seconds."""

from __future__ import annotations

import gc
import importlib
import os
import threading
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = (
    "litellm",
    "langchain_litellm",
    # what LangChain and LiteLLM import during the first call
    "langchain_core.messages.block_translators.langchain_v0",
    "langchain_core.tracers.context",
    "langchain_core.tracers.stdout",
    "litellm._service_logger",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.proxy.openai_files_endpoints.common_utils",  # takes 1.5 s
    "openai.resources.chat.completions",
)

_IMPORTING = threading.Lock()
"""One thread imports them: of two that begin at different ends, one would see modules that are half loaded."""


def import_for_calls() -> None:
    """Import what calling a model needs; what is missing is reported where it is used."""
    # By default, LiteLLM looks for a newer price table on the network while it is imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with _IMPORTING, _without_collecting():
        for name in _NEEDED:
            with suppress(ImportError):  # other releases have other modules
                importlib.import_module(name)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Let no garbage be collected meanwhile, if it is at all.

    Modules stay; but while they are loaded, Python would look through all that is there some hundred times, which takes
    a fifth of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@cache
def begin_imports() -> threading.Thread:
    """Begin to import what calling a model needs, in the background and once for the process.

    Returns:
        The thread that imports; join it to wait.
    """
    thread = threading.Thread(target=import_for_calls, name="atlas-imports", daemon=True)
    thread.start()
    return thread
