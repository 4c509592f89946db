"""Checks of citations: what an answer quotes or refers to must be in its documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_atlas.answers.texts import length_of, said_in
from langchain_atlas.execution.invocations.base import data_of
from langchain_atlas.execution.verifiers.base import Verifier, failed, passed, unknown

if TYPE_CHECKING:
    from langchain_atlas.trajectory import Observation, Query, Verdict

_QUOTES = re.compile(
    r"\u201c([^\u201c\u201d]+)\u201d|\"([^\"\n]+)\"|\u00ab([^\u00ab\u00bb]+)\u00bb|^>[ \t]?(.+)$", re.MULTILINE
)
_REFERENCE = re.compile(r"(?<![\w\]])\[(\d{1,3})\]")
_ENTRY = re.compile(r"^[ \t]*\[(\d{1,3})\]", re.MULTILINE)


class CitationVerifier(Verifier):
    """Checks that an answer's quotations, and the documents that it refers to as in ``[2]``, are there.

    Documents are the query's context, earlier tool results, and what the tools of the run returned. Says nothing where
    the answer quotes nothing, or there are no documents.

    Args:
        fewest_words: quotations of fewer words are names and words, and not checked.
    """

    def __init__(self, fewest_words: int = 4) -> None:
        self.fewest_words = fewest_words

    def verify(self, query: Query, observation: Observation) -> Verdict:
        """Check an answer; see `Verifier.verify`."""
        documents = [*data_of(query), *(trace.output for trace in observation.tool_trace if trace.output)]
        if not documents:
            return unknown("There are no documents.")
        answer = observation.answer or ""
        quotes = ["".join(parts).strip() for parts in _QUOTES.findall(answer)]
        quotes = [quote for quote in quotes if length_of(quote) >= self.fewest_words]
        entries = {number for document in documents for number in _ENTRY.findall(document)}
        references = dict.fromkeys(_REFERENCE.findall(answer)) if entries else {}
        if not quotes and not references:
            return unknown("It quotes nothing.")
        texts = [f" {said_in(document)} " for document in documents]
        for quote in quotes:
            parts = [said_in(part) for part in re.split(r"\[?(?:\.\.\.|\u2026)\]?", quote)]
            if not all(any(f" {part} " in text for text in texts) for part in parts if part):
                return failed(f"No document says {quote[:120]!r}.")
        missing = [number for number in references if number not in entries]
        if missing:
            return failed(f"There is no document [{missing[0]}].")
        return passed(f"Its {len(quotes) + len(references)} citations are found.")
