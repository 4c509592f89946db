"""Answers that are not function calls: numbers, choices, short and long texts."""

from __future__ import annotations

import math
import re
import unicodedata

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
_CURRENCY = "$€£¥"
_SIGNED = tuple(f"-{sign}" for sign in _CURRENCY)
_FRACTION = re.compile(r"[-+]?\d{1,9}/(?=\d*[1-9])\d{1,9}", re.ASCII)
_FINAL = re.compile(r"(?:####|(?:final\s+)?answer\s*(?:is|:|=)\s*:?)\s*\(?([^\n}]+)", re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LATEX = (
    (re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[,!;: ]"), ""),
    (re.compile(r"\\([$%])"), r"\1"),
)
_CHOICE = re.compile(r"\(?([A-Z])\)?(?:([).:]).*)?", re.DOTALL)
_NOTHING = frozenset({"", "none", "null", "nan", "unknown", "invalid", "error", "n a", "i don t know"})
_WORDS = re.compile(r"[^0-9a-z]+")
_WORD = re.compile(r"[^\W_]+")
_SAID = re.compile(r"[^\W_]+|(?<!\w)-(?=[\w.(])|[+<>^&|]|(?<=\w)#")
_MINUS = str.maketrans("\u2212\uff0d", "--")
_MARKDOWN = re.compile(r"[*_`]+")


def final_part(text: str) -> str:
    """Return the content of the last LaTeX box, else what follows the last ``answer is`` or ``####``; else all.

    LaTeX fractions are written plainly, and typesetting commands are removed.
    """
    boxes = list(_BOXED.finditer(text))
    if boxes:
        text = _braced(text[boxes[-1].end() :])
    else:
        found = _FINAL.findall(text)
        text = found[-1] if found else text
    if "\\" in text:
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    return text.strip()


def marked_answer(text: str) -> str | None:
    """Return what a text marks as its result: in its last LaTeX box, or after ``####`` on its last line; else None.

    ``####`` on an earlier line is a heading.
    """
    boxes = list(_BOXED.finditer(text))
    if boxes:
        return _braced(text[boxes[-1].end() :]).strip() or None
    last = text.rstrip().rpartition("\n")[2].strip()
    return last.removeprefix("####").strip() or None if last.startswith("####") else None


def _braced(text: str) -> str:
    """Return the text up to the brace that closes an earlier one; up to the end of its line if there is none."""
    depth = 1
    for place, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return text[:place]
    return text.partition("\n")[0]


def number_of(text: str) -> float | None:
    """Return the number that a text consists of, ignoring currency, percent and thousands marks; None if it is none."""
    bare = _bare(text)
    if not bare or not any(char.isdigit() for char in bare) or not _NUMBER.fullmatch(bare):
        return None
    value = float(bare.replace(",", ""))
    return value if math.isfinite(value) else None


def fraction_of(text: str) -> float | None:
    """Return the value of a text that consists of a fraction of whole numbers, such as ``3/4``; else None."""
    bare = _bare(text)
    if not _FRACTION.fullmatch(bare):
        return None
    above, _, below = bare.partition("/")
    return int(above) / int(below)


def _bare(text: str) -> str:
    bare = text.translate(_MINUS).strip().strip(_CURRENCY).rstrip("%.").strip().strip(_CURRENCY)
    return f"-{bare[2:]}" if bare[:2] in _SIGNED else bare


def choice_of(text: str, asked: str = "") -> str | None:
    """Return the capital letter that a text chooses, as in ``B``, ``(B)`` or ``B) because``; None if it chooses none.

    Args:
        text: the answer.
        asked: the query's text. A letter followed by a full stop and more may be a name's (``J. Austen``); it is only a
            choice if the query offers that letter.
    """
    match = _CHOICE.fullmatch(_MARKDOWN.sub("", text).strip())
    if match is None:
        return None
    letter: str = match.group(1)
    behind = match.string[match.end(1) :].lstrip(").")
    if match.group(2) == "." and behind and not re.search(rf"(?<!\w)\(?{letter}[).:]", asked):
        return None
    return letter


def words_of(text: str) -> str:
    """Return a text in lower case, with everything except English letters and digits replaced by single spaces."""
    return _WORDS.sub(" ", text.lower()).strip()


def said_in(text: str) -> str:
    """Return the words of a text of any script, in lower case, with the signs that change its meaning."""
    return " ".join(_SAID.findall(unicodedata.normalize("NFKC", text).casefold().translate(_MINUS)))


def length_of(text: str) -> int:
    """Return the number of words of a text."""
    return len(_WORD.findall(text))


def says_nothing(text: str) -> bool:
    """Whether a text is empty or says that there is no answer."""
    return " ".join(_WORD.findall(said_in(text))) in _NOTHING


def close(first: float, second: float, tolerance: float) -> bool:
    """Whether two numbers are equal within a tolerance, absolute below 1 and relative above."""
    return abs(first - second) <= tolerance * max(1.0, abs(first), abs(second))
