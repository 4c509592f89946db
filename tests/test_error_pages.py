"""Each class of errors has its section in docs/reference/errors.md, and an error says which."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import traceback

import pytest
from pages import modules, page

from langchain_atlas import errors
from langchain_atlas.errors import AtlasError, ExecutionError, MissingExtraError, SettingError, first_line, page_of
from langchain_atlas.failures.kinds import execution_error, failed_call
from langchain_atlas.pool.pairs import Pair

TEXT = page("docs/reference/errors.md")


def classes() -> list[type[AtlasError]]:
    """Return every class of errors of the package, wherever it is defined."""
    list(modules())
    found, todo = [AtlasError], [AtlasError]
    while todo:
        below = [one for one in todo.pop().__subclasses__() if one.__module__.startswith("langchain_atlas.")]
        found += below
        todo += below
    return sorted(set(found), key=lambda one: (one.__module__, one.__name__))


def section(kind: type[AtlasError]) -> str:
    name, anchor = page_of(kind).split("#")
    assert name == "docs/reference/errors.md"
    sections = {part.partition("\n")[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]}
    (title,) = (one for one in sections if one.lower() == anchor)
    return sections[title]


def test_every_error_has_what_it_means_why_and_what_to_do() -> None:
    found = classes()
    assert len(found) >= 18
    assert {"FetchError", "TagError", "PromptTooLongError"} <= {one.__name__ for one in found}
    for kind in found:
        told = section(kind)
        for part in (r"\*\*Means\*\*", r"\*\*Why:\*\*", r"\*\*Do:?\*\*"):
            assert re.search(rf"{part} [\w`]", " ".join(told.split())), f"{kind.__name__}: {part}"


def test_no_section_is_of_an_error_that_is_gone() -> None:
    for title in re.findall(r"^## (\w+)$", TEXT, flags=re.MULTILINE):
        assert issubclass(getattr(errors, title), AtlasError)


class UsersError(SettingError):
    """An error that somebody derives from ours."""


@pytest.mark.parametrize(
    ("error", "anchor"),
    [
        (SettingError("bad"), "settingerror"),
        (MissingExtraError("The report", "report"), "missingextraerror"),
        (execution_error("all failed", [failed_call(Pair("a"), OSError(5, "disk"))]), "executionerror"),
        (UsersError("bad"), "settingerror"),
    ],
)
def test_a_traceback_ends_with_the_page_and_the_message_stays_as_it_was(error: AtlasError, anchor: str) -> None:
    message = str(error)
    last = f"More: docs/reference/errors.md#{anchor}"
    assert traceback.format_exception(error)[-1] == f"{last}\n"
    assert (str(error), last in repr(error)) == (message, False)


def test_own_notes_come_below_and_travel() -> None:
    error = ExecutionError("no")
    error.add_note("while it rained")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert again.__notes__ == ["More: docs/reference/errors.md#executionerror", "while it rained"]
    assert ExecutionError("no").__notes__ == again.__notes__[:1]


def test_the_command_line_names_the_page_last() -> None:
    command = [sys.executable, "-c", "from langchain_atlas.cli import main; main()", "route", "x", "--router", "/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    first, *_, last = done.stderr.strip().splitlines()
    assert first.startswith("Error: '/none' is not a folder.")
    assert last == "More: docs/reference/errors.md#artifacterror"


@pytest.mark.parametrize(
    ("message", "told"),
    [("No such model.\nSee https://example.org.", "No such model"), ("", "ValueError"), ("\n \n", "ValueError")],
)
def test_of_another_librarys_message_the_first_line_is_told(message: str, told: str) -> None:
    assert first_line(ValueError(message)) == told
