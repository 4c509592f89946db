"""Running an exported model with ONNX Runtime and a tokenizer, and nothing else."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.encoders.exports import MODEL, TOKENIZER, Export
from langchain_atlas.errors import SettingError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

_PART = 4096
"""Texts whose tokens are held at a time."""
_TOKENS_IN_BATCH = 1024
"""A batch holds no more tokens than this, which stay near the processor."""
_TOKENS_FOR_THREADS = 512
"""Fewer tokens than this are encoded in the thread that asks: handing them to others would take longer."""
_THREADS_OF_ONE_BATCH = 2
"""A batch that comes alone is spread over this many processors; the gain of more was never measured."""
_SPINNING = {
    "session.intra_op.spin_duration_us": "100",
    "session.intra_op.spin_backoff_max": "16",
    "session.force_spinning_stop": "1",
}
"""A thread waits for its part this long before it sleeps, so that other work on the same processor is not held up."""


class OnnxModel:
    """A model that was exported before. Threads may share it.

    A single query that comes alone is spread over two processors. Much work, and queries that come while another is
    encoded, take one thread a batch: batches beside one another use the processors better. None of it depends on the
    number of threads the process has set for other libraries.

    Args:
        export: the exported model.

    Raises:
        SettingError: its files can't be read.
    """

    def __init__(self, export: Export) -> None:
        from tokenizers import Tokenizer

        self.export = export
        self._spread = min(_processors(), _THREADS_OF_ONE_BATCH)
        self._alone, self._loading = threading.Lock(), threading.Lock()
        self._sessions: dict[int, Any] = {}
        try:
            self._session(self._spread)
            self._tokenizer = Tokenizer.from_file(str(export.folder / TOKENIZER))
        except Exception as error:  # the tokenizers package raises nothing narrower
            raise SettingError(
                f"The exported encoder in {str(export.folder)!r} can't be read: {first_line(error)}. Delete "
                "that folder; it is exported again at the next use."
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if export.max_tokens is not None:
            self._tokenizer.enable_truncation(export.max_tokens)

    def encode(self, texts: list[str], batch_size: int = 32) -> NDArray[np.float32]:
        """Encode texts; those of about the same length go together.

        Args:
            texts: at least one text.
            batch_size: texts in a batch, at most.

        Returns:
            Shape [n, dimension].
        """
        parts = [self._encode_part(texts[at : at + _PART], batch_size) for at in range(0, len(texts), _PART)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _encode_part(self, texts: list[str], batch_size: int) -> NDArray[np.float32]:
        prompted = [self.export.prompt + text for text in texts]
        encoded = self._tokenizer.encode_batch(prompted) if len(texts) > 1 else [self._tokenizer.encode(prompted[0])]
        lengths = np.array([len(one.ids) for one in encoded])
        batches = list(_batches(lengths, batch_size))

        def run(batch: NDArray[np.int64], threads: int = 1) -> NDArray[np.float32]:
            return self._run([encoded[row] for row in batch], threads)

        if len(batches) == 1:
            rows = self._run_alone(run, batches[0])
            vectors = np.empty_like(rows)
            vectors[batches[0]] = rows
            return vectors
        threads = min(_processors(), len(batches))
        if threads > 1 and lengths.sum() >= _TOKENS_FOR_THREADS:
            with ThreadPoolExecutor(threads, thread_name_prefix="atlas-encode") as pool:
                found = list(pool.map(run, batches))
        else:
            found = [run(batch) for batch in batches]
        vectors = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
        for batch, rows in zip(batches, found, strict=True):
            vectors[batch] = rows
        return vectors

    def _run_alone(
        self, run: Callable[[NDArray[np.int64], int], NDArray[np.float32]], batch: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Run one batch on all processors it may have, or on one while another batch has them."""
        if not self._alone.acquire(blocking=False):
            return run(batch, 1)
        try:
            return run(batch, self._spread)
        finally:
            self._alone.release()

    def _session(self, threads: int) -> Any:
        """Return the network for so many threads a batch, loaded at its first use."""
        if threads not in self._sessions:
            with self._loading:
                if threads not in self._sessions:
                    self._sessions[threads] = _load(self.export, threads)
        return self._sessions[threads]

    def _run(self, encoded: list[Any], threads: int) -> NDArray[np.float32]:
        shape = len(encoded), max(1, *(len(one.ids) for one in encoded))
        given = {name: np.zeros(shape, dtype=np.int64) for name in self.export.inputs}
        if "input_ids" in given:
            given["input_ids"][:] = self.export.pad_id
        fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        for name, array in given.items():
            for row, one in enumerate(encoded):
                array[row, : len(one.ids)] = getattr(one, fields[name])
        vectors: NDArray[np.float32] = self._session(threads).run(None, given)[0]
        return vectors


def _load(export: Export, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    for name, value in _SPINNING.items():
        options.add_session_config_entry(name, value)
    return onnxruntime.InferenceSession(str(export.folder / MODEL), options, providers=["CPUExecutionProvider"])


def _batches(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each batch, shortest texts last, so that the threads end at about the same time."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, min(batch_size, _TOKENS_IN_BATCH // max(1, int(lengths[order[start]]))))
        yield order[start : start + size]
        start += size


def _processors() -> int:
    """Return the number of processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
