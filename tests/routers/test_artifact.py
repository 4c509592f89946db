"""Saved routers: written whole, checked when read, refused with a reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from recorded import Compass, kinds_of_query

from langchain_atlas.encoders import Encoder, SentenceTransformerEncoder
from langchain_atlas.errors import ArtifactError, InvalidInputError, SettingError, WritingError
from langchain_atlas.pool.pool import Pair
from langchain_atlas.routers.base import Router
from langchain_atlas.routers.cluster.router import ClusterRouter
from langchain_atlas.routers.saved.artifact import (
    ARRAYS,
    CONFIG,
    Artifact,
    load_with_settings,
    read_artifact,
    write_artifact,
)
from langchain_atlas.testing import FakeEncoder, ScriptedRouter
from langchain_atlas.trajectory import Query


class Mirrored(FakeEncoder):
    """Another encoder of the same name and dimension, whose vectors run backwards."""

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        return super()._encode(texts)[:, ::-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a saved cluster router."""
    saved = tmp_path / "router"
    ClusterRouter(FakeEncoder(), n_clusters=3, cost_weight=0.25).fit(kinds_of_query()).save(saved)
    return saved


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a saved router's config by hand."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")


def load(folder: Path) -> Router:
    return Router.load(folder, FakeEncoder())


class TestWritten:
    def test_a_folder_holds_json_beside_safetensors(self, folder: Path) -> None:
        assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, CONFIG]
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        assert config["schema_version"] == 3
        assert config["kind"] == "cluster"
        assert config["encoder"] == FakeEncoder().identity()
        assert config["pool"]["pairs"] == ["small@@calculator", "small@@search", "large@@none"]
        assert config["settings"]["cost_weight"] == 0.25
        assert sorted(path.name for path in folder.parent.iterdir()) == ["router"]

    def test_the_same_router_is_written_the_same(self, folder: Path, tmp_path: Path) -> None:
        load(folder).save(tmp_path / "again")
        for name in (CONFIG, ARRAYS):
            assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()

    def test_an_old_router_is_replaced_whole(self, folder: Path) -> None:
        ClusterRouter(Compass({"": 0}), n_clusters=2, cost_weight=0.75).fit(kinds_of_query()).save(folder)
        again = Router.load(folder, Compass({"": 0}))
        assert again.settings["cost_weight"] == 0.75
        assert sorted(path.name for path in folder.iterdir()) == [ARRAYS, CONFIG]
        assert sorted(path.name for path in folder.parent.iterdir()) == ["router"]

    def test_a_failure_while_saving_leaves_the_old_router(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        router = load(folder).configure(cost_weight=1.0)

        def fail(*_: object, **__: object) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(Path, "write_text", fail)
        with pytest.raises(WritingError, match="no space left"):
            router.save(folder)
        monkeypatch.undo()
        assert load(folder).settings["cost_weight"] == 0.25
        assert sorted(path.name for path in folder.parent.iterdir()) == ["router"]

    def test_an_empty_folder_may_be_used_and_a_missing_one_is_made(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for target in (tmp_path / "empty", tmp_path / "not" / "yet" / "there"):
            load(folder).save(str(target))
            assert load(target).pairs == load(folder).pairs

    @pytest.mark.parametrize("name", ["notes.txt", ".git", "model.safetensors"])
    def test_a_folder_with_other_files_is_not_replaced(self, folder: Path, tmp_path: Path, name: str) -> None:
        target = tmp_path / "mine"
        target.mkdir()
        (target / name).write_text("precious")
        with pytest.raises(ArtifactError, match=rf"'.*mine' holds other files \('{name}'\)"):
            load(folder).save(target)
        assert (target / name).read_text() == "precious"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "router"]

    def test_a_folder_with_somebody_elses_config_is_not_replaced(self, folder: Path, tmp_path: Path) -> None:
        target = tmp_path / "mine"
        target.mkdir()
        (target / CONFIG).write_text('{"model_type": "bert"}')
        with pytest.raises(ArtifactError, match=r"holds other files \('config.json'\)"):
            load(folder).save(target)
        assert (target / CONFIG).read_text() == '{"model_type": "bert"}'

    def test_a_damaged_router_may_be_replaced(self, folder: Path) -> None:
        router = load(folder)
        (folder / CONFIG).write_text("{half")
        router.save(folder)
        assert load(folder).pairs == router.pairs

    def test_a_file_is_not_replaced(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("precious")
        with pytest.raises(ArtifactError, match=r"'.*file' is a file; a router is saved to a folder"):
            load(folder).save(tmp_path / "file")
        assert (tmp_path / "file").read_text() == "precious"

    def test_a_router_that_learned_nothing_has_nothing_to_save(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="ScriptedRouter can't be saved"):
            ScriptedRouter("a").save(tmp_path / "router")
        assert list(tmp_path.iterdir()) == []


class TestDamaged:
    @pytest.mark.parametrize("position", [0, 8, 100, -1])
    def test_a_changed_byte_of_the_numbers(self, folder: Path, position: int) -> None:
        data = bytearray((folder / ARRAYS).read_bytes())
        data[position] ^= 1
        (folder / ARRAYS).write_bytes(data)
        with pytest.raises(ArtifactError, match=rf"{ARRAYS} is damaged: its checksum is not the one in {CONFIG}"):
            load(folder)

    def test_numbers_cut_short(self, folder: Path) -> None:
        (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-9])
        with pytest.raises(ArtifactError, match="is damaged"):
            load(folder)

    def test_numbers_that_are_none_though_the_checksum_is_right(self, folder: Path) -> None:
        import hashlib

        (folder / ARRAYS).write_bytes(b"nonsense")
        edit(folder, lambda config: config["files"].update({ARRAYS: hashlib.sha256(b"nonsense").hexdigest()}))
        with pytest.raises(ArtifactError, match="is damaged"):
            load(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda config: config["pool"]["pairs"].reverse(), "its pairs don't match their fingerprint"),
            (lambda config: config["pool"]["pairs"].append("x@@y"), "its pairs don't match their fingerprint"),
            (lambda config: config["pool"].pop("fingerprint"), "is damaged"),
            (lambda config: config.pop("pool"), "is damaged"),
            (lambda config: config.update(pool=[]), "is damaged"),
            (lambda config: config.pop("kind"), "is damaged"),
            (lambda config: config.pop("files"), "is damaged"),
            (lambda config: config.update(files=None), "is damaged"),
            (lambda config: config["files"].update({ARRAYS: "0"}), "checksum"),
            (lambda config: config.pop("settings"), "is damaged"),
            (lambda config: config["settings"].update(cost_weight=7), "is damaged: cost_weight is 7"),
            (lambda config: config["settings"].update(alhpa=0.5), "is damaged"),
            (lambda config: config.update(settings=[1]), "is damaged"),
            (lambda config: config.pop("facts"), "is damaged"),
            (lambda config: config["facts"].pop("parameters"), "is damaged"),
            (lambda config: config["facts"]["parameters"].update(n_clusters="8"), "is damaged: n_clusters is '8'"),
            (lambda config: config["facts"]["parameters"].update(n_cluster=8), "is damaged"),
            (lambda config: config["facts"]["parameters"].update(view="text"), "don't fit together"),
            (lambda config: config["facts"]["parameters"].update(view="half"), "is damaged: view is 'half'"),
            (lambda config: config["facts"].pop("natural_strength"), "is damaged"),
            (lambda config: config["facts"].update(natural_strength="much"), "is damaged"),
            (lambda config: config["facts"].pop("sizes"), "is damaged"),
            (lambda config: config["facts"].update(sizes=[]), "is damaged"),
            (lambda config: config["facts"].update(sizes=["3"] * 6), "is damaged"),
            (lambda config: config["facts"]["sizes"].pop(), "don't fit together"),
            (lambda config: config["facts"]["sizes"].append(1), "don't fit together"),
            (lambda config: config["facts"]["clusters"].pop(), "don't fit together"),
            (lambda config: config["facts"]["clusters"].append([1, "x"]), "don't fit together"),
            (lambda config: config["facts"].update(clusters=[1, 2, 3]), "is damaged"),
            (lambda config: config["encoder"].pop("name"), "is damaged"),
            (lambda config: config["encoder"].update(fingerprint=[]), "is damaged"),
            (lambda config: config["encoder"].update(fingerprint="abc"), "is damaged"),
            (lambda config: config.update(encoder="fake"), "is damaged"),
        ],
    )
    def test_an_edited_config(self, folder: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
        edit(folder, change)
        with pytest.raises(ArtifactError, match=message) as caught:
            load(folder)
        assert str(folder) in str(caught.value)
        assert "Fit again" in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"{half", b"\xff\xfe", b"[" * 5])
    def test_a_config_that_is_not_json(self, folder: Path, content: bytes) -> None:
        (folder / CONFIG).write_bytes(content)
        with pytest.raises(ArtifactError, match=rf"{CONFIG} can't be read"):
            load(folder)

    @pytest.mark.parametrize("content", ["[]", "null", "5", "{}"])
    def test_a_config_that_is_no_routers(self, folder: Path, content: str) -> None:
        (folder / CONFIG).write_text(content)
        with pytest.raises(ArtifactError, match="schema version None"):
            load(folder)

    @pytest.mark.parametrize("found", [0, 2, 4, "3", None])
    def test_another_schema_version(self, folder: Path, found: object) -> None:
        edit(folder, lambda config: config.update(schema_version=found))
        with pytest.raises(ArtifactError, match=f"has schema version {found!r}; this release reads 3. Fit again"):
            load(folder)

    @pytest.mark.parametrize(
        ("name", "message"),
        [(ARRAYS, f"has no {ARRAYS}; the saved router is incomplete"), (CONFIG, f"has no {CONFIG}")],
    )
    def test_a_missing_file(self, folder: Path, name: str, message: str) -> None:
        (folder / name).unlink()
        with pytest.raises(ArtifactError, match=message):
            load(folder)

    def test_a_folder_in_place_of_a_file(self, folder: Path) -> None:
        (folder / ARRAYS).unlink()
        (folder / ARRAYS).mkdir()
        with pytest.raises(ArtifactError, match=rf"{ARRAYS} can't be read"):
            load(folder)

    def test_no_folder_or_a_file(self, folder: Path) -> None:
        for path in (folder / "nowhere", folder / CONFIG):
            with pytest.raises(ArtifactError, match=r"is not a folder. A saved router is a folder"):
                load(path)

    def test_an_unknown_kind(self, folder: Path) -> None:
        edit(folder, lambda config: config.update(kind="clutser"))
        with pytest.raises(ArtifactError, match=r"a router of kind 'clutser'. Did you mean 'cluster'"):
            load(folder)

    def test_parts_of_two_routers_put_together(self, folder: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        ClusterRouter(FakeEncoder(), n_clusters=2).fit(kinds_of_query()).save(other)
        shutil.copy(other / ARRAYS, folder / ARRAYS)
        with pytest.raises(ArtifactError, match="checksum"):
            load(folder)

    def test_it_is_a_callers_mistake(self) -> None:
        assert issubclass(ArtifactError, InvalidInputError)


class TestEncoder:
    def test_another_dimension_is_refused(self, folder: Path) -> None:
        with pytest.raises(
            ArtifactError, match=r"fitted with encoder 'fake' \(64 dimensions\), but encoder 'fake' has 8"
        ):
            Router.load(folder, FakeEncoder(8))

    def test_other_vectors_are_refused(self, folder: Path) -> None:
        with pytest.raises(ArtifactError, match="fitted with encoder 'fake', but encoder 'fake' gives other vectors"):
            Router.load(folder, Mirrored())

    def test_the_same_encoder_by_another_name_will_do(self, folder: Path) -> None:
        assert Router.load(folder, FakeEncoder(name="renamed")).pairs

    def test_without_one_it_is_found_by_its_name(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[str] = []

        def make(self: SentenceTransformerEncoder, name: str, **_: Any) -> None:
            made.append(name)
            Encoder.__init__(self, name)

        monkeypatch.setattr(SentenceTransformerEncoder, "__init__", make)
        monkeypatch.setattr(SentenceTransformerEncoder, "_encode", lambda _, texts: FakeEncoder()._encode(texts))
        assert Router.load(folder).decide(Query(text="numbers sum two")).pair == Pair("small", "calculator")
        assert made == ["fake"]

    def test_one_that_cannot_be_loaded_is_named(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise SettingError("Can't load the encoder 'fake'.")

        monkeypatch.setattr(SentenceTransformerEncoder, "_encode", fail)
        with pytest.raises(ArtifactError, match="fitted with encoder 'fake', which can't be loaded: Can't load"):
            Router.load(folder)


class TestSettingsInTheName:
    @pytest.mark.parametrize(
        ("spec", "expected"),
        [
            ("", {"cost_weight": 0.25}),
            ("?", {"cost_weight": 0.25}),
            ("?alpha=0.75", {"cost_weight": 0.75}),
            ("?alpha=1&failovers=3&latency_share=1e-1", {"cost_weight": 1, "failovers": 3, "latency_share": 0.1}),
            ("?alpha=0.1&&strength=2&", {"cost_weight": 0.1, "strength": 2}),
        ],
    )
    def test_they_follow_the_folder(self, folder: Path, spec: str, expected: dict[str, float]) -> None:
        settings = load_with_settings(f"{folder}{spec}", FakeEncoder()).settings
        assert {name: settings[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("?alpha", "'alpha' in '.*' is not a setting; write FOLDER"),
            ("?alhpa=0.5", "has no setting 'alhpa'. Did you mean 'alpha'"),
            ("?=0.5", "has no setting ''"),
            ("?alpha=2", "alpha is 2; it must be a number from 0 to 1"),
            ("?alpha=", r"alpha is ''; it must be a number \(in '.*'\)"),
            ("?alpha=half", r"alpha is 'half'; it must be a number \(in '.*'\)"),
            ("?alpha=nan", "alpha is nan"),
            ("?alpha=0.5=0.6", "alpha is '0.5=0.6'"),
            ("?cost_weight=2", "cost_weight is 2; it must be a number from 0 to 1"),
            ("?strength=inf", "strength is inf"),
            ("?failovers=1.0", "failovers is 1.0; it must be a whole number"),
            ("?n_clusters=4", "has no setting 'n_clusters'"),
        ],
    )
    def test_a_bad_one_is_named(self, folder: Path, spec: str, message: str) -> None:
        with pytest.raises(SettingError, match=message):
            load_with_settings(f"{folder}{spec}", FakeEncoder())

    def test_the_saved_router_stays_as_it_is(self, folder: Path) -> None:
        load_with_settings(f"{folder}?alpha=0.75", FakeEncoder())
        assert load(folder).settings["cost_weight"] == 0.25


@given(
    arrays_of.arrays(
        st.sampled_from([np.float32, np.float64, np.int64]),
        arrays_of.array_shapes(min_dims=1, max_dims=3, max_side=4),
        elements=st.integers(-9, 9),
    ),
    st.sampled_from(["as it is", "transposed", "every second", "backwards", "columns first"]),
)
def test_numbers_come_back_however_they_lay_in_memory(
    tmp_path_factory: pytest.TempPathFactory, array: NDArray[Any], view: str
) -> None:
    views: dict[str, NDArray[Any]] = {
        "as it is": array,
        "transposed": array.T,
        "every second": array[::2],
        "backwards": array[::-1],
        "columns first": np.asfortranarray(array),
    }
    folder = tmp_path_factory.mktemp("artifact")
    pairs = (Pair("a"), Pair("b", "c:d/e"))
    write_artifact(folder, Artifact("any", pairs, None, {}, {"note": "grün"}, {"numbers": views[view]}))
    found = read_artifact(folder)
    assert (found.kind, found.pairs, found.encoder, found.facts) == ("any", pairs, None, {"note": "grün"})
    np.testing.assert_array_equal(found.arrays["numbers"], views[view])
    assert found.arrays["numbers"].dtype == array.dtype
