"""From the arguments of a pool file to a Python tool: which sandbox, with which limits."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from langchain_core.tools import BaseTool

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.python.monty import MontySandbox, shared_sandbox
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.sandbox import SessionSandbox
from langchain_atlas.tools.python.tool import PythonTool

BACKENDS: dict[str, Callable[..., SessionSandbox]] = {"monty": MontySandbox, "process": ProcessSandbox}
"""The sandboxes that a pool file can name."""


@cache
def shared_backend(name: str) -> SessionSandbox:
    """Return the sandbox of a backend with its default limits, which everything in this process shares.

    Raises:
        PoolError: there is no such backend.
        SettingError: the backend can't work here.
    """
    if name not in BACKENDS:
        raise PoolError(f"there is no backend {name!r} for Python. {suggest(name, BACKENDS)}")
    return shared_sandbox() if name == "monty" else BACKENDS[name]()


def build_python(backend: str = "monty", *, stateful: bool = False, **limits: Any) -> BaseTool:
    """Build a Python tool.

    Args:
        backend: ``monty``, the default, or ``process``.
        stateful: whether names last from call to call within one conversation.
        limits: the limits of the backend.

    Raises:
        PoolError: there is no such backend, or it has no such limit.
        SettingError: a limit is out of range, or the backend can't work here.
    """
    if backend not in BACKENDS:
        raise PoolError(f"there is no backend {backend!r} for Python. {suggest(backend, BACKENDS)}")
    valid = inspect.signature(BACKENDS[backend]).parameters
    for name in limits:
        if name not in valid:
            raise PoolError(f"the backend {backend!r} takes no {name!r}. {suggest(name, valid)}")
    shared = backend == "monty" and not limits
    return PythonTool(sandbox=shared_sandbox() if shared else BACKENDS[backend](**limits), stateful=stateful)


def _signature() -> inspect.Signature:
    own = [
        part
        for part in inspect.signature(build_python).parameters.values()
        if part.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    limits = {
        name: part.replace(default=None)
        for backend in BACKENDS.values()
        for name, part in inspect.signature(backend).parameters.items()
    }
    return inspect.Signature([*own, *limits.values()])


# Shown to callers by error messages: the limits of the Python tool are those of its sandboxes.
build_python.__signature__ = _signature()  # type: ignore[attr-defined]
