"""Documents cut into passages."""

import re
from collections.abc import Iterator

from langchain_atlas.tools.search.snippets import MAX_PASSAGE, Snippet

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_LONGEST_HEADING = 1_000
"""Characters of a line that may be a heading."""
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
        may_be = headings and not fenced and len(line) <= _LONGEST_HEADING
        heading = _HEADING.match(line) if may_be else None
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
    start = 0
    while start < len(text):
        end = len(text)
        if end - start > MAX_PASSAGE:
            # Within the piece, not in all that is left: a document of one line would be gone through over and over.
            cut = max(text.rfind(mark, start + 1, start + MAX_PASSAGE) for mark in " \n")
            end = cut if cut > 0 else start + MAX_PASSAGE
        if piece := text[start:end].strip():
            yield Snippet(text=piece, source=source, heading=heading)
        start = end
