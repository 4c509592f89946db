"""Reading the text in images with tesseract, on this machine."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import ExecutionError, InvalidInputError
from langchain_atlas.images import MAX_BYTES, image_bytes, kind_of, shown
from langchain_atlas.tools.deadlines import within
from langchain_atlas.tools.failures import answer_error, answer_validation_error
from langchain_atlas.tools.web.addresses import AddressGuard

_BLANKS = re.compile(r"\n{3,}")
_LANGUAGES = r"^[A-Za-z][A-Za-z_]*(\+[A-Za-z][A-Za-z_]*)*$"
_LONGEST = 20_000
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "OMP_THREAD_LIMIT", "TESSDATA_PREFIX")
"""What the program gets of the environment: no keys."""

_LIMITED = (
    "import os, resource, sys; limit = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Becomes a program that may use so many bytes: an image of a few kilobytes can ask for gigabytes when unpacked."""

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

    stays_here: ClassVar[bool] = True
    """Whether what it is asked stays in this process and beside it; see `Tool.stays_here`."""

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

    memory_mib: int = Field(default=1024, ge=64)
    """Memory that reading may take."""

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
            from langchain_atlas.tools.web.fetching import FetchLimits, fetch

            guard = AddressGuard(self.allowed_hosts)
            limits = FetchLimits(timeout_s=self.timeout_s, max_bytes=MAX_BYTES)
            page = within(self.timeout_s, lambda: fetch(image, guard=guard, limits=limits))
            if page.status != 200:  # noqa: PLR2004
                raise InvalidInputError(f"{shown(image)!r} was answered with HTTP status {page.status}.")
            return page.body
        return self._load_file(image)

    def _load_file(self, image: str) -> bytes:
        if self.folder is None:
            raise InvalidInputError(f"{shown(image)!r} is no URL; it must begin with http://, https:// or data:.")
        root = self.folder.resolve()
        try:
            path = (root / image).resolve()
            size = path.stat().st_size if path.is_relative_to(root) and path.is_file() else None
            data = path.read_bytes() if size is not None and size <= MAX_BYTES else b""
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # a name that is too long or has a zero in it, a circle of links
            reason = getattr(error, "strerror", None) or error
            raise InvalidInputError(f"Can't read the image {shown(image)!r}: {reason}.") from error
        if size is None:
            raise InvalidInputError(f"There is no image {shown(image)!r} in the folder {self.folder.name!r}.")
        if size > MAX_BYTES:
            raise InvalidInputError(f"The image {shown(image)!r} is larger than {MAX_BYTES >> 20} MiB.")
        return data

    def _read(self, data: bytes) -> str:
        program = shutil.which(self.program)
        if program is None:
            raise ToolException(_INSTALL.format(self.program))
        try:
            done = subprocess.run(  # noqa: S603  # the program is the user's choice, the language is checked
                self._command(program),
                input=data,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
                # With one thread it takes the same time on a small image, and leaves the other cores alone.
                env={"OMP_THREAD_LIMIT": "1", **{name: os.environ[name] for name in _PASSED if name in os.environ}},
            )
        except subprocess.TimeoutExpired as error:
            raise ToolException(f"tesseract did not finish within {self.timeout_s:g} s.") from error
        except OSError as error:
            raise ToolException(f"tesseract could not be started: {error.strerror}.") from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            reason = said[:300] or "it needs more memory than memory_mib allows, or crashed"
            raise ToolException(f"tesseract could not read the image: {reason}")
        text = _BLANKS.sub("\n\n", done.stdout.decode("utf-8", "replace").replace("\f", "")).strip()
        return text[:_LONGEST] or "(no text was found in the image)"

    def _command(self, program: str) -> list[str]:
        command = [program, "stdin", "stdout", "-l", self.languages]
        if os.name != "posix":
            return command
        return [sys.executable, "-I", "-S", "-c", _LIMITED, str(self.memory_mib * 2**20), *command]
