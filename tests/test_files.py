"""Writing files and folders so that nobody meets a half-written one."""

import os
from pathlib import Path

import pytest

from langchain_atlas.errors import WritingError
from langchain_atlas.files import atomic_path, write_folder, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(target: Path, failure: BaseException) -> None:
    with atomic_path(target) as temporary:
        temporary.write_text("ne")
        raise failure


class TestFile:
    def test_a_text_is_written_in_utf_8_and_its_folder_made(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "deep" / "note.txt"
        write_text(target, "grün\n")
        assert target.read_bytes() == "grün\n".encode()
        assert names(target.parent) == ["note.txt"]

    def test_an_old_file_is_replaced(self, tmp_path: Path) -> None:
        target = tmp_path / "note.txt"
        target.write_text("old, and longer")
        write_text(target, "new")
        assert target.read_text() == "new"

    def test_the_old_file_is_there_until_the_new_one_is_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "note.txt"
        target.write_text("old")
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            assert target.read_text() == "old"
            assert temporary.parent == target.parent  # else moving it would not be in one piece
        assert target.read_text() == "new"

    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        target = tmp_path / "note.txt"
        target.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            write_half(target, KeyboardInterrupt())
        assert target.read_text() == "old"
        assert names(tmp_path) == ["note.txt"]

    def test_a_failure_makes_no_file_where_there_was_none(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="disk"):
            write_half(tmp_path / "note.txt", RuntimeError("disk"))
        assert names(tmp_path) == []

    def test_a_failing_move_leaves_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(WritingError, match=r"note\.txt': no space left"):
            write_text(tmp_path / "note.txt", "new")
        assert names(tmp_path) == []

    def test_permissions_are_those_of_an_ordinary_new_file(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            write_text(tmp_path / "note.txt", "new")
            assert os.umask(0o027) == 0o027  # and the mask itself is as it was
        finally:
            os.umask(before)
        assert (tmp_path / "note.txt").stat().st_mode & 0o777 == 0o640

    def test_a_folder_in_its_place_and_a_file_in_its_way_are_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(WritingError, match="is a folder; name a file"):
            write_text(tmp_path, "new")
        with pytest.raises(WritingError, match="file' is a file, not a folder"):
            write_text(tmp_path / "file" / "deep" / "note.txt", "new")
        assert names(tmp_path) == ["file"]
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_folder_that_one_may_not_write_to_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)  # root may write everywhere
        with pytest.raises(WritingError, match="you may not write to"):
            write_text(tmp_path / "note.txt", "new")
        assert names(tmp_path) == []


class TestFolder:
    def test_permissions_are_those_of_ordinary_new_files(self, tmp_path: Path) -> None:
        def fill(folder: Path) -> None:
            (folder / "secretive").touch(mode=0o600)

        before = os.umask(0o022)
        try:
            write_folder(tmp_path / "saved", fill)
        finally:
            os.umask(before)
        assert (tmp_path / "saved").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "saved" / "secretive").stat().st_mode & 0o777 == 0o644

    def test_a_file_in_its_place_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(WritingError, match="is a file; name a folder"):
            write_folder(tmp_path / "file", self.fill)
        assert names(tmp_path) == ["file"]

    @staticmethod
    def fill(folder: Path) -> None:
        (folder / "one").write_text("1")
        (folder / "sub").mkdir()
        (folder / "sub" / "two").write_text("2")

    def test_a_folder_is_written_whole(self, tmp_path: Path) -> None:
        target = tmp_path / "deep" / "out"
        write_folder(target, self.fill)
        assert names(target) == ["one", "sub"]
        assert (target / "sub" / "two").read_text() == "2"
        assert names(tmp_path / "deep") == ["out"]

    def test_an_old_folder_is_replaced_not_added_to(self, tmp_path: Path) -> None:
        target = tmp_path / "out"
        target.mkdir()
        (target / "stale").write_text("old")
        write_folder(target, self.fill)
        assert names(target) == ["one", "sub"]
        assert names(tmp_path) == ["out"]

    def test_a_failure_while_filling_leaves_the_old_folder_and_nothing_else(self, tmp_path: Path) -> None:
        target = tmp_path / "out"
        write_folder(target, self.fill)

        def fail(folder: Path) -> None:
            (folder / "one").write_text("changed")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_folder(target, fail)
        assert (target / "one").read_text() == "1"
        assert names(tmp_path) == ["out"]

    def test_a_failure_while_moving_puts_the_old_folder_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "out"
        write_folder(target, self.fill)
        moves, move = [], Path.replace

        def fail_at_the_second(self: Path, to: Path) -> Path:
            moves.append(to)
            if len(moves) == 2:
                raise OSError("no space left")
            return move(self, to)

        monkeypatch.setattr(Path, "replace", fail_at_the_second)
        with pytest.raises(WritingError, match="out': no space left"):
            write_folder(target, lambda folder: (folder / "one").write_text("changed") and None)
        assert (target / "one").read_text() == "1"
        assert names(tmp_path) == ["out"]

    def test_the_folder_behind_a_link_is_replaced(self, tmp_path: Path) -> None:
        real, link = tmp_path / "real", tmp_path / "link"
        real.mkdir()
        link.symlink_to(real, target_is_directory=True)
        write_folder(link, self.fill)
        assert link.is_symlink()
        assert names(real) == ["one", "sub"]
        assert names(tmp_path) == ["link", "real"]
