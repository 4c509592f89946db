"""Writing files atomically, so that a reader never sees a half-written one."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from langchain_atlas.errors import WritingError

_UNTOUCHED = "Nothing was changed"


def check_file(target: Path) -> None:
    """Make sure that a file can be written, by trying it; meant to be called before long work.

    Raises:
        WritingError: it is a folder, or nothing can be written at that place.
    """
    with writing(target, _UNTOUCHED):
        if target.is_dir():
            raise WritingError(f"{str(target)!r} is a folder; name a file.")
        _check_place(target)
        _try_place(target)


def check_folder(target: Path) -> None:
    """Make sure that a folder can be written, by trying it; meant to be called before long work.

    Raises:
        WritingError: it is a file, or nothing can be written at that place.
    """
    with writing(target, _UNTOUCHED):
        if target.exists() and not target.is_dir():
            raise WritingError(f"{str(target)!r} is a file; name a folder.")
        _check_place(target)
        _try_place(target)


def _check_place(target: Path) -> None:
    place = target.parent
    while not os.access(place, os.F_OK) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise WritingError(f"Can't write {str(target)!r}: {str(place)!r} is a file, not a folder. Name another place.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise WritingError(f"Can't write {str(target)!r}: you may not write to {str(place)!r}. Name another place.")


def _try_place(target: Path) -> None:
    """Create a file with the target's name, and its missing folders, inside a folder that is then removed."""
    place = target.parent
    while not place.is_dir():
        place = place.parent
    with tempfile.TemporaryDirectory(dir=place, prefix=".atlas.") as trial:
        tried = Path(trial) / target.absolute().relative_to(place.absolute())
        tried.parent.mkdir(parents=True, exist_ok=True)
        handle, _ = tempfile.mkstemp(dir=tried.parent, prefix=f".{target.name}.", suffix=target.suffix)
        os.close(handle)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, which replaces `target` if the block ends without an error.

    Args:
        target: the file to write; its folder is created if missing.

    Yields:
        The path to write to.

    Raises:
        WritingError: as for `check_file`, or the file could not be written, for example because the disk is full.
    """
    check_file(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


@contextmanager
def writing(target: Path, left: str = "Nothing of it was kept") -> Iterator[None]:
    """Turn an `OSError` raised in the block into a `WritingError` that names the file being written.

    Args:
        target: the file or folder that the caller wants written.
        left: what remains of it after the failure, for the message.

    Raises:
        WritingError: the block raises an `OSError`, for example because the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise WritingError(
            f"Can't write {str(target)!r}: {error.strerror or error}. {left}; make room, or name another place."
        ) from error


def write_text(target: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Write a folder of files so that `target` is always either the complete old one or the complete new one.

    Args:
        target: the folder to write; an existing one is replaced, and restored if that fails.
        fill: called with a folder, writes the files into it.

    Raises:
        WritingError: as for `check_folder`, or the folder could not be written, for example because the disk is full.
    """
    target = target.resolve()  # replace the folder that a link points to, not the link
    check_folder(target)
    with writing(target):
        _write_folder(target, fill)


def _write_folder(target: Path, fill: Callable[[Path], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        fill(temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                _flush(path)
                path.chmod(0o666 & ~_umask())  # safetensors makes its files readable by the owner only
        temporary.chmod(0o777 & ~_umask())
        _exchange(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, target: Path) -> None:
    if not target.exists():
        new.replace(target)
        return
    holder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    old = holder / target.name
    try:
        target.replace(old)
        new.replace(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.replace(target)
        raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
