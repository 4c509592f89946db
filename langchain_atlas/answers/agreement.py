"""The contract for comparing answers, and the default comparison."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from langchain_atlas.answers.behaviour import behaviour, examples_in
from langchain_atlas.answers.parsed import ParsedAnswer, read_answer
from langchain_atlas.answers.texts import close
from langchain_atlas.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from langchain_atlas.answers.behaviour import ProgramRunner
    from langchain_atlas.trajectory import Query


class Agreement(ABC):
    """Decides whether two answers to one query say the same."""

    def read(self, answer: str | None, query: Query) -> ParsedAnswer:
        """Parse an answer for comparison; None is the answer of a failed call."""
        return read_answer(answer, query)

    @abstractmethod
    def same(self, first: ParsedAnswer, second: ParsedAnswer, query: Query) -> bool:
        """Return whether two answers to `query` agree. Symmetric; an answer that says nothing agrees with none."""

    def groups(self, readings: Sequence[ParsedAnswer], query: Query) -> list[int]:
        """Number answers so that those that say the same have the same number, in order of first appearance.

        An answer joins the first group whose first member it agrees with; one that says nothing is its own group.
        """
        numbers: list[int] = []
        firsts: list[ParsedAnswer] = []
        exact: dict[tuple[str, object], int] = {}
        for reading in readings:
            key = (reading.kind, reading.value)
            number = exact.get(key) if reading.kind in _EXACT else None
            if number is None:
                number = next((at for at, first in enumerate(firsts) if self.same(first, reading, query)), None)
            if number is None:
                number = len(firsts)
                firsts.append(reading)
            if reading.kind in _EXACT:
                exact.setdefault(key, number)
            numbers.append(number)
        return numbers


class Embeds(Protocol):
    """Turns texts into vectors of length one, as `langchain_atlas.Encoder` does."""

    def encode(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return one vector per text, shape [n, dimension]."""


class AnswerAgreement(Agreement):
    """Compares answers by their kind.

    Function calls agree when they call the same functions with the same arguments, in any order and format. Numbers,
    and fractions of whole numbers, agree within a tolerance, choices by their letter, short texts word by word
    (including signs such as minus), code when it is the same except for names and layout, or, with a sandbox, when it
    gives the same results on the query's examples. Two answers that call none of the available functions agree. Long
    texts agree when their embeddings are similar, or, without an encoder, when most of their words are shared.

    Args:
        tolerance: largest distance between equal numbers, absolute below 1 and relative above.
        encoder: compares long texts.
        sandbox: runs code on the examples in the query (``>>> f(1)``, ``assert f(1) == 2``), such as
            `langchain_atlas.tools.shared_sandbox`; without one, or without examples, code is compared as text.
        similarity: lowest cosine, or share of words, at which two long texts agree.

    Raises:
        SettingError: a parameter is out of range.
    """

    def __init__(
        self,
        *,
        tolerance: float = 1e-3,
        encoder: Embeds | None = None,
        sandbox: ProgramRunner | None = None,
        similarity: float = 0.85,
    ) -> None:
        if not tolerance >= 0 or not 0 <= similarity <= 1:
            raise SettingError(
                f"tolerance is {tolerance!r} and similarity {similarity!r}; the first must be 0 or more, the second "
                "between 0 and 1."
            )
        self.tolerance = tolerance
        self.encoder = encoder
        self.sandbox = sandbox
        self.similarity = similarity

    def read(self, answer: str | None, query: Query) -> ParsedAnswer:
        """Parse an answer; with a sandbox, code is run on the query's examples."""
        reading = super().read(answer, query)
        if reading.kind != "code" or self.sandbox is None:
            return reading
        does = behaviour(reading, examples_in(query.text), self.sandbox)
        return reading if does is None else replace(reading, value=("does", does))

    def same(self, first: ParsedAnswer, second: ParsedAnswer, query: Query) -> bool:
        """Return whether two answers say the same; see the class."""
        del query
        fraction = isinstance(first.value, float) and isinstance(second.value, float)  # at least one, if kinds differ
        if first.kind == "nothing" or (first.kind != second.kind and not fraction):
            return False
        if fraction:
            return close(first.value, second.value, self.tolerance)
        if first.value == second.value:
            return True
        texts = first.kind == "text" and isinstance(first.value, str) and isinstance(second.value, str)
        return texts and "long" in (first.style, second.style) and self._alike(first, second)

    def _alike(self, first: ParsedAnswer, second: ParsedAnswer) -> bool:
        if self.encoder is not None:
            vectors = self.encoder.encode([first.text, second.text])
            return float(vectors[0] @ vectors[1]) >= self.similarity
        ours, theirs = set(first.value.split()), set(second.value.split())
        return len(ours & theirs) >= self.similarity * len(ours | theirs)


_EXACT = frozenset({"calls", "no-call", "choice", "code"})
