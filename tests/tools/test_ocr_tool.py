"""Reading text with tesseract, on images made here."""

from __future__ import annotations

import shutil
import stat
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.tools import BaseTool, ToolException
from langchain_tests.unit_tests import ToolsUnitTests
from pictures import data_url, picture
from PIL import Image
from pydantic import ValidationError
from websites import Answer, Website

from langchain_atlas.errors import PoolError
from langchain_atlas.tools.registry import build_tools
from langchain_atlas.tools.vision.ocr import OcrTool

if TYPE_CHECKING:
    from pathlib import Path

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="needs tesseract: apt-get install tesseract-ocr tesseract-ocr-eng"
)


class TestStandard(ToolsUnitTests):
    @property
    def tool_constructor(self) -> type[BaseTool]:
        return OcrTool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"image": "https://example.org/a.png"}


@needs_tesseract
class TestReading:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
    def test_a_data_url(self, kind: str) -> None:
        image = data_url(picture("Ferry leaves at 22:10", kind))
        assert OcrTool().invoke({"image": image}) == "Ferry leaves at 22:10"

    async def test_on_the_event_loop(self) -> None:
        assert await OcrTool().ainvoke({"image": data_url(picture("12 crowns"))}) == "12 crowns"

    def test_a_web_page(self) -> None:
        with Website(Answer(picture("12 crowns"))) as site:
            tool = OcrTool(allowed_hosts=("127.0.0.1",))
            assert tool.invoke({"image": f"{site.url}/sign.png"}) == "12 crowns"

    def test_a_file_in_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "sign.png").write_bytes(picture("12 crowns"))
        (tool,) = build_tools("ocr", {"folder": str(tmp_path)})
        assert tool.invoke({"image": "sign.png"}) == "12 crowns"

    def test_nothing_to_read(self) -> None:
        assert OcrTool().invoke({"image": data_url(picture())}) == "(no text was found in the image)"

    def test_a_broken_image(self) -> None:
        answer = OcrTool().invoke({"image": data_url(picture("12 crowns")[:60])})
        assert answer.startswith("Error: tesseract could not read the image: ")

    def test_a_small_file_with_a_huge_image(self) -> None:
        file = BytesIO()
        Image.new("1", (30_000, 30_000), 1).save(file, format="PNG")
        answer = OcrTool(memory_mib=256).invoke({"image": data_url(file.getvalue())})
        assert answer.startswith("Error: tesseract could not read the image: ")

    def test_a_language_that_is_not_there(self) -> None:
        answer = OcrTool(languages="xyz").invoke({"image": data_url(picture("a"))})
        assert answer.startswith("Error: tesseract could not read the image: ")
        assert "xyz" in answer


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("sign.png", "'sign.png' is no URL; it must begin with http://"),
        ("/etc/passwd", "is no URL"),
        ("file:///etc/passwd", "is no URL"),
        ("data:image/png;base64,####", "is not in base64"),
        (data_url(b"hello"), "is not a PNG, JPEG, GIF or WebP image; it begins with b'hello'"),
        ("http://127.0.0.1:1/a.png", "not a public address"),
        ("http://169.254.169.254/latest/meta-data", "not a public address"),
    ],
)
def test_what_can_not_be_read_is_said(image: str, problem: str) -> None:
    answer = OcrTool().invoke({"image": image})
    assert answer.startswith("Error: ")
    assert problem in answer


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "none.png", "link.png", "."])
def test_no_file_outside_the_folder_is_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(picture("secret"))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert "There is no image" in OcrTool(folder=folder).invoke({"image": name})


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000, "circle.png"])
def test_what_is_no_name_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "circle.png").symlink_to("circle.png")
    assert OcrTool(folder=tmp_path).invoke({"image": name}).startswith("Error: Can't read the image")


@pytest.mark.parametrize(
    ("answer", "problem"), [(Answer(b"gone", 404), "HTTP status 404"), (Answer(b"<html>"), "is not a PNG")]
)
def test_a_page_that_is_no_image_is_said(answer: Answer, problem: str) -> None:
    with Website(answer) as site:
        assert problem in OcrTool(allowed_hosts=("127.0.0.1",)).invoke({"image": site.url})


def test_a_missing_program_names_what_to_install() -> None:
    tool = OcrTool(program="no-such-tesseract")
    assert "apt-get install tesseract-ocr" in tool.invoke({"image": data_url(picture("a"))})
    with pytest.raises(ToolException, match="'no-such-tesseract'"):
        OcrTool(program="no-such-tesseract", handle_tool_error=False).invoke({"image": data_url(picture("a"))})


def test_a_program_that_hangs_is_stopped(tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    start = time.monotonic()
    tool = OcrTool(program=str(program), timeout_s=0.3)
    assert tool.invoke({"image": data_url(picture("a"))}) == "Error: tesseract did not finish within 0.3 s."
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("languages", ["", "eng;rm", "-c x", "eng+"])
def test_languages_are_names(languages: str) -> None:
    with pytest.raises(ValidationError):
        OcrTool(languages=languages)
    with pytest.raises(PoolError, match="can't be built with the arguments 'languages'"):
        build_tools("ocr", {"languages": languages})
