"""Static encoders: the mean of tokens' vectors, read from a folder without a network."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import kinds_of_query
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from langchain_atlas import Router, StaticEncoder
from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.encoders.named import encoder_named
from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.trajectory import Query

WORDS = ("[UNK]", "north", "east", "up", "what")
VECTORS = np.array([[9, 9, 9], [0, 2, 0], [2, 0, 0], [0, 0, 2], [1, 1, 1]], dtype=np.float32)
TEXTS = ["north", "east north", "What? up", "", "nothing known", "north " * 900, "half \ud83d a pair", "UP\nup 東京"]


def made(folder: Path, arrays: dict[str, NDArray[Any]] | None = None, **config: object) -> str:
    """Write a model2vec model of five words, and return its folder."""
    folder.mkdir()
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(arrays or {"embeddings": VECTORS}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True, **config}))
    return str(folder)


class TestVectors:
    def test_a_text_is_the_mean_of_its_tokens(self, tmp_path: Path) -> None:
        encoder = StaticEncoder(made(tmp_path / "m"))
        # (0, 2, 0) and (2, 0, 0) have the mean (1, 1, 0).
        assert encoder.encode(["north east"])[0] == pytest.approx([0.5**0.5, 0.5**0.5, 0], abs=1e-6)

    def test_what_the_tokenizer_does_not_know_counts_for_nothing(self, tmp_path: Path) -> None:
        vectors = StaticEncoder(made(tmp_path / "m")).encode(["north elsewhere", "north", "elsewhere", ""])
        assert vectors[0] == pytest.approx(vectors[1])
        assert not vectors[2:].any()

    def test_long_texts_are_cut(self, tmp_path: Path) -> None:
        short, long = (StaticEncoder(made(tmp_path / str(most), max_length=most)) for most in (2, 900))
        text = "north north " + "east " * 400
        assert short.encode([text])[0] == pytest.approx([0, 1, 0])
        assert long.encode([text])[0][0] > 0.9

    def test_alone_and_among_others_a_text_has_the_same_vector(self, tmp_path: Path) -> None:
        encoder = StaticEncoder(made(tmp_path / "m"), cache_size=0)
        together = encoder.encode(TEXTS)
        assert np.array_equal(together, np.concatenate([encoder.encode([text]) for text in TEXTS]))
        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(encoder.encode, [TEXTS] * 40):
                assert np.array_equal(found, together)

    @pytest.mark.parametrize(
        "arrays",
        [
            {"embeddings": VECTORS.astype(np.float16)},
            {"embeddings": VECTORS.astype(np.int8)},
            {
                "embeddings": VECTORS[[0, 3, 1, 2, 4]],
                "mapping": np.array([0, 2, 3, 1, 4]),
                "weights": np.ones(len(WORDS), dtype=np.float32),
            },
        ],
        ids=["float16", "int8", "shared rows"],
    )
    def test_every_form_that_model2vec_saves(self, arrays: dict[str, NDArray[Any]], tmp_path: Path) -> None:
        plain, other = StaticEncoder(made(tmp_path / "m")), StaticEncoder(made(tmp_path / "n", arrays))
        assert other.encode(TEXTS) == pytest.approx(plain.encode(TEXTS), abs=1e-3)

    @pytest.mark.parametrize("part", ["", "0_StaticEmbedding"])
    def test_what_sentence_transformers_saves(self, part: str, tmp_path: Path) -> None:
        folder = Path(made(tmp_path / "m", {"embedding.weight": VECTORS}))
        (folder / "config.json").rename(folder / "config_sentence_transformers.json")
        if part:
            (folder / part).mkdir()
            for name in ("model.safetensors", "tokenizer.json"):
                (folder / name).rename(folder / part / name)
        assert StaticEncoder(str(folder)).encode(["north"])[0] == pytest.approx([0, 1, 0])

    @pytest.mark.parametrize("weighted", [False, True])
    def test_vectors_are_those_of_model2vec(self, weighted: bool, tmp_path: Path) -> None:
        static_model = pytest.importorskip("model2vec").StaticModel
        arrays: dict[str, NDArray[Any]] = {"embeddings": VECTORS}
        if weighted:
            arrays["weights"] = np.array([1, 2, 0.5, 1, 3], dtype=np.float32)
        folder = made(tmp_path / "m", arrays, max_length=100)
        texts = [text.encode("utf-8", "replace").decode() for text in TEXTS]
        theirs = static_model.from_pretrained(folder).encode(texts)
        assert StaticEncoder(folder).encode(TEXTS) == pytest.approx(theirs, abs=1e-6)

    def test_it_needs_neither_torch_nor_model2vec(self, tmp_path: Path) -> None:
        program = (
            "import sys; from langchain_atlas import StaticEncoder;"
            f"StaticEncoder({made(tmp_path / 'm')!r}).encode(['up']);"
            "print([m for m in ('torch', 'transformers', 'model2vec', 'joblib', 'onnxruntime', 'huggingface_hub')"
            " if m in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
        assert ran.stdout.strip() == "[]"


class TestByName:
    def test_names(self) -> None:
        assert isinstance(encoder_named("static:some/folder"), StaticEncoder)
        assert encoder_named("static:some/folder").name == "static:some/folder" == StaticEncoder("some/folder").name
        assert isinstance(encoder_named("some/folder"), SentenceTransformerEncoder)

    def test_a_router_is_loaded_with_the_encoder_it_was_saved_with(self, tmp_path: Path) -> None:
        encoder = StaticEncoder(made(tmp_path / "m"))
        ClusterRouter(encoder, n_clusters=2).fit(kinds_of_query()).save(tmp_path / "router")
        loaded = Router.load(tmp_path / "router")
        assert isinstance(loaded, ClusterRouter)
        assert isinstance(loaded.encoder, StaticEncoder)
        loaded.decide(Query(text=""))

    def test_another_folder_with_the_same_model_will_do(self, tmp_path: Path) -> None:
        folder = made(tmp_path / "m")
        ClusterRouter(StaticEncoder(folder), n_clusters=2).fit(kinds_of_query()).save(tmp_path / "router")
        shutil.move(folder, tmp_path / "elsewhere")
        with pytest.raises(ArtifactError, match=r"static:.*there is no such folder"):
            Router.load(tmp_path / "router")
        Router.load(tmp_path / "router", StaticEncoder(str(tmp_path / "elsewhere")))

    def test_another_model_will_not(self, tmp_path: Path) -> None:
        ClusterRouter(StaticEncoder(made(tmp_path / "m")), n_clusters=2).fit(kinds_of_query()).save(tmp_path / "router")
        other = StaticEncoder(made(tmp_path / "n", {"embeddings": VECTORS[:, ::-1] + np.float32([0, 0, 5])}))
        with pytest.raises(ArtifactError, match="gives other vectors"):
            Router.load(tmp_path / "router", other)


class TestWrongFiles:
    def test_a_missing_folder(self) -> None:
        with pytest.raises(SettingError, match=r"'no/such/folder': there is no such folder.*static-encoder"):
            StaticEncoder("no/such/folder").find()

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_a_missing_file(self, name: str, tmp_path: Path) -> None:
        folder = made(tmp_path / "m")
        (tmp_path / "m" / name).unlink()
        with pytest.raises(SettingError, match="the folder lacks one of"):
            StaticEncoder(folder).find()

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    @pytest.mark.parametrize("content", [b"", b"[]", b"\x80\x02.", b'{"max_length": "long"}'])
    def test_a_damaged_file(self, name: str, content: bytes, tmp_path: Path) -> None:
        folder = made(tmp_path / "m")
        (tmp_path / "m" / name).write_bytes(content)
        with pytest.raises(SettingError, match=r"Can't load the static encoder.*" + name.replace(".", r"\.")):
            StaticEncoder(folder).encode(["north"])

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"vectors": VECTORS}, r"must hold a matrix 'embeddings'; it holds 'vectors' \[5, 3\]"),
            ({"embeddings": VECTORS[0]}, r"it holds 'embeddings' \[3\]"),
            ({"embeddings": VECTORS[:3]}, "it has 3 vectors for 5 tokens"),
            ({"embeddings": VECTORS, "weights": np.ones(4)}, "it has 4 weights for 5 tokens"),
            ({"embeddings": VECTORS[:3], "mapping": np.array([0, 1, 2, 3, 0])}, "rows that its 3 vectors do not have"),
        ],
    )
    def test_arrays_that_do_not_belong_together(
        self, arrays: dict[str, NDArray[Any]], said: str, tmp_path: Path
    ) -> None:
        with pytest.raises(SettingError, match=said):
            StaticEncoder(made(tmp_path / "m", arrays)).encode(["north"])

    def test_a_sentence_transformers_model_is_not_a_static_one(self, tiny_model: str) -> None:
        with pytest.raises(SettingError, match="must hold a matrix 'embeddings'"):
            StaticEncoder(tiny_model).encode(["north"])
