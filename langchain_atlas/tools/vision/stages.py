"""Questions about images in stages, as section 4 of the paper has them; the wording is ours.

A procedure is a generator: it yields stages, is sent what the model replied, and returns the answer. Every stage is a
self-contained prompt: the images are sent with each, and the results of earlier stages are part of its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from langchain_atlas.tools.vision.prompts import CHART, COUNTING, GEOMETRY, OCR

_PUT_IN = re.compile(r"\{(\w+)\}")
_ANSWER = re.compile(r"^[\s>*_#]*(?:final\s+)?answer[\s*_]*[:=][\s*_]*(?=\S)", re.IGNORECASE | re.MULTILINE)
_VERDICT = re.compile(r"verdict[\s*_]*[:=][\s*_\"']*(right|wrong)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """One prompt of a procedure."""

    name: str
    """What the stage is for."""
    prompt: str
    """What the model is asked, beside the images."""
    last: bool = False
    """Whether the reply is the answer unchanged."""


Steps = Generator[Stage, str, str]


@dataclass(frozen=True)
class Procedure:
    """A way of answering a question about an image."""

    purpose: str
    """What it is good for, for models that choose."""
    prompts: Mapping[str, str]
    """The prompt of each stage; ``{query}`` and the names of earlier stages are put in."""
    steps: Callable[[str, Mapping[str, str]], Steps]
    """From the query and the prompts to the stages."""


def _chart(query: str, prompts: Mapping[str, str]) -> Steps:
    found = {"query": query}
    found["extract"] = yield _stage("extract", prompts, found)
    return stage_answer((yield _stage("answer", prompts, found)))


def _counting(query: str, prompts: Mapping[str, str]) -> Steps:
    found = {"query": query}
    found["list"] = yield _stage("list", prompts, found)
    return stage_answer((yield _stage("count", prompts, found)))


def _ocr(query: str, prompts: Mapping[str, str]) -> Steps:
    found = {"query": query}
    found["read"] = yield _stage("read", prompts, found)
    return (yield _stage("answer", prompts, found, last=True))


def _geometry(query: str, prompts: Mapping[str, str]) -> Steps:
    found = {"query": query}
    for name in ("extract", "reason", "check"):
        found[name] = yield _stage(name, prompts, found)
    if says_right(found["check"]):
        return stage_answer(found["reason"])
    return stage_answer((yield _stage("correct", prompts, found)))


def _stage(name: str, prompts: Mapping[str, str], found: Mapping[str, str], *, last: bool = False) -> Stage:
    return Stage(name, _PUT_IN.sub(lambda match: found.get(match[1], match[0]), prompts[name]), last)


def stage_answer(text: str) -> str:
    """Return the text after the last ``Answer:`` at the start of a line; the whole text if there is none."""
    marks = list(_ANSWER.finditer(text))
    return (text[marks[-1].end() :] if marks else text).strip().strip("*_").strip()


def says_right(check: str) -> bool:
    """Whether a check ends with the verdict that all is right; anything unclear is not."""
    verdicts = _VERDICT.findall(check)
    return bool(verdicts) and verdicts[-1].lower() == "right"


PROCEDURES: Mapping[str, Procedure] = MappingProxyType(
    {
        "chart": Procedure("reads a chart, plot or table in an image: first its data, then the answer", CHART, _chart),
        "counting": Procedure(
            "counts objects in an image: first lists them with their places, then counts", COUNTING, _counting
        ),
        "geometry": Procedure(
            "solves a geometry problem with a diagram: reads the diagram, reasons, checks, corrects",
            GEOMETRY,
            _geometry,
        ),
        "ocr": Procedure("reads the text in an image, then answers with it", OCR, _ocr),
    }
)
"""The procedures, by name."""
