"""Reading the text in images with tesseract, on this machine."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import ExecutionError, InvalidInputError
from langchain_atlas.images import MAX_BYTES, image_bytes, kind_of, shown
from langchain_atlas.tools.addresses import AddressGuard
from langchain_atlas.tools.answers import answer_error, answer_validation_error
from langchain_atlas.tools.deadlines import within

_BLANKS = re.compile(r"\n{3,}")
_LANGUAGES = r"^[A-Za-z][A-Za-z_]*(\+[A-Za-z][A-Za-z_]*)*$"
_LONGEST = 20_000
_INSTALL = (
    "tesseract is not installed: there is no program {!r}. Install it (Debian: apt-get install tesseract-ocr "
    "tesseract-ocr-eng; macOS: brew install tesseract), or let a vision model read with the invocation 'ocr'."
)


class OcrInput(BaseModel):
    """Arguments of the OCR tool."""

    image: str = Field(description="URL of the image (http, https or data), or its path where files are allowed.")


class OcrTool(BaseTool):
    """A LangChain tool that reads the text in an image with the program ``tesseract``.

    An image that can't be read comes back as an answer that begins with ``Error:``. Set ``handle_tool_error=False`` for
    a `ToolException`.
    """

    name: str = "ocr"
    description: str = "Reads the text in an image and returns it."
    args_schema: type[BaseModel] = OcrInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    languages: str = Field(default="eng", pattern=_LANGUAGES)
    """Languages of the text, by tesseract's names, joined by ``+``; each needs its data installed."""

    folder: Path | None = None
    """Where images may be read by path; None for nowhere, as paths come from models."""

    allowed_hosts: tuple[str, ...] = ()
    """Hosts of image URLs that may be private; others must be public."""

    timeout_s: float = Field(default=30.0, gt=0)
    """Seconds for fetching, and again for reading."""

    program: str = "tesseract"
    """The program."""

    def _run(self, image: str) -> str:
        try:
            data = self._load(image)
        except (InvalidInputError, ExecutionError, TimeoutError) as error:
            raise ToolException(str(error)) from error
        if kind_of(data) is None:
            raise ToolException(f"{shown(image)!r} is not a PNG, JPEG, GIF or WebP image; it begins with {data[:8]!r}.")
        return self._read(data)

    async def _arun(self, image: str) -> str:
        return await asyncio.to_thread(self._run, image)

    def _load(self, image: str) -> bytes:
        if image.startswith("data:"):
            return image_bytes(image)
        if image.lower().startswith(("http://", "https://")):
            from langchain_atlas.tools.network import Limits, fetch

            guard = AddressGuard(self.allowed_hosts)
            limits = Limits(timeout_s=self.timeout_s, max_bytes=MAX_BYTES)
            page = within(self.timeout_s, lambda: fetch(image, guard=guard, limits=limits))
            if page.status != 200:  # noqa: PLR2004
                raise InvalidInputError(f"{shown(image)!r} was answered with HTTP status {page.status}.")
            return page.body
        return self._load_file(image)

    def _load_file(self, image: str) -> bytes:
        if self.folder is None:
            raise InvalidInputError(f"{shown(image)!r} is no URL; it must begin with http://, https:// or data:.")
        root = self.folder.resolve()
        path = (root / image).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise InvalidInputError(f"There is no image {shown(image)!r} in the folder {self.folder.name!r}.")
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInputError(f"The image {shown(image)!r} is larger than {MAX_BYTES >> 20} MiB.")
        return path.read_bytes()

    def _read(self, data: bytes) -> str:
        program = shutil.which(self.program)
        if program is None:
            raise ToolException(_INSTALL.format(self.program))
        try:
            done = subprocess.run(  # noqa: S603  # the program is the user's choice, the language is checked
                [program, "stdin", "stdout", "-l", self.languages],
                input=data,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
                # With one thread it takes the same time on a small image, and leaves the other cores alone.
                env={"OMP_THREAD_LIMIT": "1", **os.environ},
            )
        except subprocess.TimeoutExpired as error:
            raise ToolException(f"tesseract did not finish within {self.timeout_s:g} s.") from error
        except OSError as error:
            raise ToolException(f"tesseract could not be started: {error.strerror}.") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise ToolException(f"tesseract could not read the image: {said[:300] or f'status {done.returncode}'}")
        text = _BLANKS.sub("\n\n", done.stdout.decode("utf-8", "replace").replace("\f", "")).strip()
        return text[:_LONGEST] or "(no text was found in the image)"
