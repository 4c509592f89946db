"""Documents cut into passages."""

import re
from collections.abc import Iterator

from langchain_atlas.tools.search.snippets import MAX_PASSAGE, Snippet

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"\s*(```|~~~)")


def split_passages(text: str, source: str, *, headings: bool = True) -> Iterator[Snippet]:
    """Split a document into paragraphs, each with the headings above it.

    Args:
        text: the document.
        source: what the snippets give as their source.
        headings: whether lines that begin with ``#`` are headings, as in Markdown.

    Yields:
        Snippets of at most `MAX_PASSAGE` characters, in the order of the document. A fenced block is never split at
        its empty lines, and holds no headings.
    """
    path: list[tuple[int, str]] = []
    paragraph: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        heading = _HEADING.match(line) if headings and not fenced else None
        if heading or not (line.strip() or fenced):
            yield from _pieces(paragraph, source, path)
            paragraph = []
        if heading:
            level = len(heading[1])
            path = [*((depth, name) for depth, name in path if depth < level), (level, heading[2])]
        elif line.strip() or fenced:
            paragraph.append(line)
        fenced = fenced != bool(headings and _FENCE.match(line))
    yield from _pieces(paragraph, source, path)


def _pieces(paragraph: list[str], source: str, path: list[tuple[int, str]]) -> Iterator[Snippet]:
    text = "\n".join(paragraph).strip()
    heading = " > ".join(name for _, name in path)
    while text:
        end = len(text)
        if end > MAX_PASSAGE:
            end = max(text.rfind(" ", 1, MAX_PASSAGE), text.rfind("\n", 1, MAX_PASSAGE))
            end = end if end > 0 else MAX_PASSAGE
        yield Snippet(text=text[:end].strip(), source=source, heading=heading)
        text = text[end:].strip()
