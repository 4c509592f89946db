"""Static encoders: each token has a vector, and a text has the mean of its tokens' vectors. Microseconds, not ms."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_atlas.encoders.base import Encoder
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PREFIX = "static:"
"""What a static encoder's name begins with, where an encoder is named: ``--encoder static:FOLDER``, saved routers."""

_LAYOUTS = (
    ("config.json", "", "embeddings"),
    ("config_sentence_transformers.json", "", "embedding.weight"),
    ("config_sentence_transformers.json", "0_StaticEmbedding", "embedding.weight"),
)
"""How model2vec and sentence-transformers save one: its settings, the folder of the rest, the name of its matrix."""
_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_MAX_TOKENS = 512
_COORDINATES = 8
_HALF, _TINY = 0.5, 1e-12


class StaticEncoder(Encoder):
    """A model2vec model: vectors of tokens, without a network. Loaded at first use.

    It takes about a hundredth of the time of a sentence-transformers model, and knows neither the order of words nor
    their context: docs/encoders.md shows what that costs in accuracy. `make distil` makes one of the default model.
    Its files are read with the packages ``safetensors`` and ``tokenizers``; ``model2vec`` is not needed.

    Args:
        name: folder of the model, or its name if it is in the hub's cache; ``static:`` may stand before it.
        cache_size: number of texts to cache.
    """

    def __init__(self, name: str, cache_size: int = 10_000) -> None:
        self._model_name = str(name).removeprefix(PREFIX)
        super().__init__(PREFIX + self._model_name, cache_size)
        self._loading = threading.Lock()
        self._loaded: _StaticModel | None = None

    def find(self) -> None:
        """Check that the model's files are there; see `Encoder.find`.

        Raises:
            SettingError: they are not.
        """
        _Files.of(self._model_name)

    @cached_property
    def fingerprint(self) -> tuple[float, ...]:
        """Coordinates of a fixed text's vector, and of a sum over all tokens: a text has but a few of them."""
        whole = self._model().summary()
        return (*self._coordinates()[: len(whole)], *(round(float(value), 4) for value in whole))

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return self._model().encode(texts)

    def _model(self) -> _StaticModel:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = _StaticModel(_Files.of(self._model_name))
        return self._loaded


@dataclass(frozen=True)
class _Files:
    """Where a model's files are, and what its matrix is called."""

    folder: Path
    settings: Path
    weights: Path
    tokenizer: Path
    matrix: str

    @classmethod
    def of(cls, name: str) -> _Files:
        """Find a model's files by its folder or name.

        Raises:
            SettingError: they are not on this machine.
        """
        folder = Path(name).expanduser() if Path(name).expanduser().is_dir() else model_folder(name)
        if folder is None:
            raise _unreadable(name, "there is no such folder, and no such model in the hub's cache.")
        for settings, part, matrix in _LAYOUTS:
            place = folder / part
            files = cls(folder, folder / settings, place / _WEIGHTS, place / _TOKENIZER, matrix)
            if all(path.is_file() for path in (files.settings, files.weights, files.tokenizer)):
                return files
        raise _unreadable(name, f"the folder lacks one of config.json, {_WEIGHTS} and {_TOKENIZER}.")


class _StaticModel:
    """A static model in memory. Threads may share it.

    Args:
        files: where it is.

    Raises:
        SettingError: its files can't be read, or do not belong together.
    """

    def __init__(self, files: _Files) -> None:
        self._name = str(files.folder)
        arrays = self._read(files.weights)
        matrix = arrays.get(files.matrix)
        if matrix is None or matrix.ndim != 2:  # noqa: PLR2004  # a row for each token
            held = ", ".join(f"{key!r} {list(array.shape)}" for key, array in arrays.items()) or "nothing"
            raise _unreadable(self._name, f"{_WEIGHTS} must hold a matrix {files.matrix!r}; it holds {held}.")
        self._vectors = np.asarray(matrix, dtype=np.float32)
        self._weights, self._rows = arrays.get("weights"), arrays.get("mapping")
        self._tokenizer = self._read_tokenizer(files.tokenizer)
        self._set_length(files.settings)
        self._check_sizes()

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode texts, shape [n, dimension]; one without a known token is all zeros."""
        if self._most_letters is not None:  # as model2vec does; what is cut off would be too many tokens anyway
            texts = [text[: self._most_letters] for text in texts]
        vectors = np.zeros((len(texts), self._vectors.shape[1]), dtype=np.float32)
        for place, tokens in enumerate(self._tokens(texts)):
            if tokens:
                vectors[place] = self._mean(np.array(tokens))
        return vectors

    def summary(self) -> NDArray[np.float32]:
        """Return a few coordinates of all tokens' vectors added and subtracted in a fixed order."""
        tokens = np.arange(1 + max(self._tokenizer.get_vocab().values(), default=-1))
        signs = np.where(np.random.default_rng(0).random(len(tokens)) < _HALF, -1, 1).astype(np.float32)
        rows = self._vectors[tokens if self._rows is None else self._rows]
        total = (signs if self._weights is None else signs * self._weights) @ rows
        length = max(float(np.linalg.norm(total)), _TINY)
        return np.asarray(total[:_COORDINATES] / length, dtype=np.float32)

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        texts = [text if text.isascii() else text.encode("utf-8", "replace").decode() for text in texts]
        if len(texts) == 1:  # handing one text to the tokenizer's threads takes longer
            encoded = [self._tokenizer.encode(texts[0], add_special_tokens=False)]
        else:
            encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [[token for token in one.ids if token != self._unknown] for one in encoded]

    def _mean(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean of some tokens' vectors, shape [dimension]."""
        rows = self._vectors[tokens if self._rows is None else self._rows[tokens]]
        if self._weights is not None:
            rows = rows * self._weights[tokens, None]
        mean: NDArray[np.float32] = np.add.reduce(rows, axis=0) / np.float32(len(tokens))
        return mean

    def _read(self, path: Path) -> dict[str, NDArray[Any]]:
        from safetensors.numpy import load_file

        try:
            arrays: dict[str, NDArray[Any]] = load_file(path)
        except Exception as error:  # of safetensors' own kind, which it does not export
            raise _unreadable(self._name, f"{path.name} is not a safetensors file of arrays: {error}.") from error
        return arrays

    def _read_tokenizer(self, path: Path) -> Any:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers package raises nothing narrower
            raise _unreadable(self._name, f"{path.name} is not a tokenizer: {error}.") from error
        tokenizer.no_padding()
        return tokenizer

    def _set_length(self, settings: Path) -> None:
        """Note the token that counts for nothing, and where texts are cut."""
        try:
            config: Mapping[str, Any] = json.loads(settings.read_text(encoding="utf-8"))
            length = config.get("max_length", _MAX_TOKENS)
        except (OSError, ValueError, AttributeError) as error:
            raise _unreadable(self._name, f"{settings.name} is not a JSON object: {error}.") from error
        known: dict[str, int] = self._tokenizer.get_vocab()
        self._most_letters, self._unknown = None, _unknown_token(self._tokenizer)
        self._tokenizer.no_truncation()
        if length is not None:
            if not isinstance(length, int) or length < 1:
                raise _unreadable(self._name, f"max_length in {settings.name} is {length!r}; it must be 1 or more.")
            self._tokenizer.enable_truncation(length)
            self._most_letters = length * max(1, int(np.median([len(token) for token in known] or [1])))

    def _check_sizes(self) -> None:
        tokens = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        per_token = {"rows": self._rows, "weights": self._weights}
        per_token["vectors"] = self._vectors if self._rows is None else None
        for what, array in per_token.items():
            if array is not None and len(array) < tokens:
                raise _unreadable(self._name, f"it has {len(array):,} {what} for {tokens:,} tokens of its tokenizer.")
        if self._rows is not None and not 0 <= self._rows.min() <= self._rows.max() < len(self._vectors):
            raise _unreadable(self._name, f"its tokens name rows that its {len(self._vectors):,} vectors do not have.")


def _unknown_token(tokenizer: Any) -> int | None:
    """Return the token for what a tokenizer does not know; None if it has none."""
    if hasattr(tokenizer.model, "unk_token"):
        token = tokenizer.model.unk_token
        return None if token is None else tokenizer.token_to_id(token)
    found: int | None = json.loads(tokenizer.to_str())["model"].get("unk_id")
    return found


def _unreadable(name: str, why: str) -> SettingError:
    return SettingError(
        f"Can't load the static encoder {name!r}: {why} Give the folder of a model2vec model; "
        "docs/static-encoder.md says how to make one."
    )
