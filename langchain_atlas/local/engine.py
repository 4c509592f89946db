"""Running models: one llama.cpp engine per model and process, started on first use.

llama.cpp offers its server as a library (`xllamacpp`). Requests are function calls. A call blocks its thread and can
only be interrupted between two tokens, when the engine passes a piece of text to our callback; reading a long prompt
can't be interrupted.
"""

import atexit
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_atlas.errors import ExecutionError, MissingExtraError
from langchain_atlas.local.models import LocalModel, find_model

Piece = Mapping[str, Any]
"""A piece of the engine's output: an OpenAI-style text completion chunk, or an error."""


class ModelEngine:
    """One model, loaded when first used. Safe to use from many threads; requests wait for each other."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self._changed = threading.Condition()
        self._server: Any = None
        self._in_use = 0
        self._closing = False

    def run(self, request: Mapping[str, Any], on_piece: Callable[[Piece], bool]) -> None:
        """Complete a prompt, piece by piece; returns when the answer is complete or was cut off.

        Args:
            request: body of a llama.cpp completion request.
            on_piece: called with each piece; returns whether to stop.

        Raises:
            MissingExtraError: `xllamacpp` or the weights are not installed.
            ExecutionError: the weights can't be loaded.
            ValueError: the engine rejects the request.
        """

        def receive(received: Any) -> bool:
            pieces = received if isinstance(received, list) else [received]
            # Every piece is passed on, even after the callback has requested a stop.
            stops = [on_piece(piece) for piece in pieces]
            return self._closing or any(stops)

        with self._kept_open():
            # Not bound to a name: the last reference must be the one that `close` drops, because freeing
            # the engine joins its threads.
            self._server.handle_completions({**request, "stream": True}, receive)

    def close(self) -> None:
        """Stop the running request, wait for it, and free the model. A later request loads it again."""
        with self._changed:
            self._closing = True
            self._changed.wait_for(lambda: self._in_use == 0)
            self._server = None
            self._closing = False
            self._changed.notify_all()

    def abandon(self) -> None:
        """Never free the model: after a fork, its threads are in the parent, and freeing would wait for them."""
        if self._server is not None:
            import ctypes

            # A reference that is never released.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))

    @contextmanager
    def _kept_open(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            if self._server is None:
                # Under the lock, so that simultaneous requests load the model only once.
                self._server = _start_server(self.model)
            self._in_use += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_use -= 1
                self._changed.notify_all()


def _start_server(model: LocalModel) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtraError(f"The embedded model {model.name!r}", "local") from error
    settings = xllamacpp.CommonParams()
    settings.model.path = str(model.weights())
    settings.n_ctx = model.context_size
    # Below all of llama.cpp's levels: it logs to stderr and can't be redirected.
    settings.verbosity = -1
    # One request at a time: batching several changes the rounding, and with it the answers.
    settings.n_parallel = 1
    # Two threads make models of this size hardly faster, and they wait for each other by spinning, which is
    # fifty times slower as soon as another process needs the core.
    settings.cpuparams.n_threads = 1
    settings.cpuparams_batch.n_threads = 1
    # Otherwise it caches up to 8 GB of old prompts.
    settings.cache_ram_mib = 0
    # The engine always opens a port on the loopback address. Nobody should use it, so nobody gets the key.
    settings.api_keys = [secrets.token_hex(32)]
    settings.n_threads_http = 1
    settings.ui = False
    settings.endpoint_slots = False
    try:
        return xllamacpp.Server(settings)
    except RuntimeError as error:
        raise ExecutionError(f"Can't load the embedded model {model.name!r}: {error}") from error


_engines: dict[str, ModelEngine] = {}
_engines_lock = threading.Lock()


def get_engine(name: str) -> ModelEngine:
    """Return the engine of a model, always the same one within a process.

    Args:
        name: a key of `MODELS`.

    Returns:
        The engine; it loads its model on the first request.

    Raises:
        InvalidInputError: no model has this name.
    """
    model = find_model(name)
    with _engines_lock:
        if not _engines:
            _watch_process()
        return _engines.setdefault(name, ModelEngine(model))


def shutdown() -> None:
    """Free every loaded model; running requests stop at their next token.

    Called automatically when the interpreter exits. A later request loads its model again.
    """
    with _engines_lock:
        engines = list(_engines.values())
    for engine in engines:
        engine.close()


_watching = False


def _watch_process() -> None:
    global _watching  # noqa: PLW0603
    if _watching:
        return
    _watching = True
    # Otherwise the engine's threads would outlive the interpreter and crash it on exit.
    atexit.register(shutdown)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    """Forget all engines after a fork: threads do not survive it, so the child loads its own models.

    llama.cpp's cleanup does not know about forks and aborts in a child that exits through `sys.exit`;
    `multiprocessing` exits through `os._exit`, which is fine. LiteLLM has threads too, and a child may inherit one
    of its locks in the locked state: with LiteLLM, start processes with "spawn".
    """
    global _engines_lock  # noqa: PLW0603
    _engines_lock = threading.Lock()
    for engine in _engines.values():
        engine.abandon()
    _engines.clear()
