"""The words that search goes by, of any language.

Scripts that put no spaces between words (Chinese, Japanese, Thai, ...), or glue endings to them (Korean), are cut into
runs of a few characters, which is what search engines do where they have no dictionary. Accents make no difference.
Names of programs count as a whole and by their parts: ``user name`` finds ``getUserName`` and ``user_name``.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from collections.abc import Iterator

# By script, and not by \w: vowel signs and tone marks are no letters for Python, and cut words of many languages.
_TWO = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\u3005\u3006\u30fc]"
_THREE = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_TOKEN = regex.compile(rf"(?P<two>{_TWO}+)|(?P<three>{_THREE}+)|(?P<word>(?:(?!{_TWO}|{_THREE})[\w\p{{M}}])+)")
_PART = regex.compile(r"\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|\p{N}+|[^\W_\p{Lu}\p{Ll}\p{N}]+")
_CASES = regex.compile(r"\p{Ll}\p{Lu}|_|\p{L}\p{N}|\p{N}\p{L}|\p{Lu}\p{Lu}\p{Ll}")
_ACCENTED = regex.compile(r"([\p{Latin}\p{Greek}])\p{M}+")
_PLURAL_IES = regex.compile(r"(?<=\w\w)ies$")
_PLURAL_S = regex.compile(r"(?<=\w\w[^\Wsu])s$")


def words(text: str, *, shortest: bool = False) -> list[str]:
    """Return the words of a text: lower case, without accents, singular, without the commonest of English.

    Args:
        text: a passage or a query.
        shortest: also give runs shorter than usual of scripts without spaces, for passages: a query may be as short.
    """
    return [word for token in _TOKEN.finditer(_plain(text)) for word in _of(token, shortest=shortest)]


def _of(token: regex.Match[str], *, shortest: bool) -> Iterator[str]:
    found = token[0]
    if token.lastgroup != "word":
        length = 2 if token.lastgroup == "two" else 3
        for size in range(1, length + 1) if shortest else [min(length, len(found))]:
            yield from (found[start : start + size] for start in range(len(found) - size + 1))
        return
    whole = found.casefold()
    if whole not in _common():
        yield _singular(whole)
    if _CASES.search(found):
        parts = [part.casefold() for part in _PART.findall(found)]
        yield from (_singular(part) for part in parts if part != whole and part not in _common())


def _plain(text: str) -> str:
    """Return a text without accents, full-width letters and ligatures, composed."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENTED.sub(r"\1", unicodedata.normalize("NFKD", text)))


def _singular(word: str) -> str:
    """An English noun without its plural ending, roughly; what matters is that both forms come out the same."""
    return str(_PLURAL_S.sub("", _PLURAL_IES.sub("y", word)))


@cache
def _common() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    return frozenset(STOPWORDS_EN)


SHORTEST_PART = 4
"""Letters of a word that may be a part of a longer one."""

_BESIDE = 3
_INSIDE = 6


def may_be_compound(word: str) -> bool:
    """Whether a word is long enough to hold another, and is a word."""
    return len(word) >= SHORTEST_PART + _BESIDE and word.isalpha()


def holds(longer: str, word: str) -> bool:
    """Whether a word may be part of a compound, as ``schiff`` is of ``dampfschifffahrt``.

    A part at the beginning or the end needs three or more letters next to it; one in the middle has six or more
    letters.
    """
    if len(word) < SHORTEST_PART or len(longer) < len(word) + _BESIDE:
        return False
    return longer.startswith(word) or longer.endswith(word) or (len(word) >= _INSIDE and word in longer)


def parts(compound: str) -> Iterator[str]:
    """Yield the beginnings and endings of a word that may be words, such as ``fahrplan`` of ``fahrplanauskunft``."""
    for length in range(SHORTEST_PART, len(compound) - _BESIDE + 1):
        yield compound[:length]
        yield compound[-length:]
