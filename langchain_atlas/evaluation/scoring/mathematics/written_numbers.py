"""Numbers as people and models write them: grouped, in LaTeX, as powers of ten, in digits of other scripts."""

from __future__ import annotations

import math
import unicodedata
from typing import NamedTuple

import regex

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\u3005\u3006\u30fc]"
"""A character of a script that puts no spaces between words, as a pattern."""

_MINUS = "-\u2212\u2013\u2010\u2011\ufe63"
_EXPONENT = r"[+\-\u2212]?[0-9]+"

_NUMBER = rf"""
    (?<!(?!{UNSPACED})\w)(?<!(?!{UNSPACED})\w\.)                # not in a word, a version or another number
    (?P<sign>(?<![)\]}}%])[{_MINUS}+])?(?:\\?\p{{Sc}}\s?)?      # after a closed bracket it is a difference
    (?:
      (?P<whole>[0-9]+)?\s?\\frac\{{(?P<top>[+\-\u2212]?[0-9]+(?:\.[0-9]+)?)\}}\{{(?P<bottom>[0-9]+(?:\.[0-9]+)?)\}}
      |10\s*(?:\^|\*\*)\s*\{{?(?P<ten>{_EXPONENT})\}}?
      |(?P<digits>(?:(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]{{1,2}}(?:,[0-9]{{2}})+,[0-9]{{3}})(?![0-9])|[0-9]+)(?:\.[0-9]+)?
        |(?<!\.)\.[0-9]+)
       (?:[eE](?P<exponent>{_EXPONENT})
         |\s*(?:[*xX\u00d7\u00b7\u22c5]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{{?(?P<power>{_EXPONENT})\}}?)?
       (?:\s?/\s?(?P<denominator>[0-9]+))FRACTION
    )
    (?P<percent>\s?(?:\\?%|percent\b|per\ cent\b))?
"""
_PLAIN, _WITH_FRACTIONS = (regex.compile(_NUMBER.replace("FRACTION", often), regex.VERBOSE) for often in ("{0}", "?"))

_GAP = r"(?:\{,\}|\{?\\[,;: ]\}?|,\\!|[\u00a0\u2007\u2009\u202f'\u2019_])"
_GROUPED = regex.compile(
    rf"(?<![0-9.,\w])[0-9]{{1,3}}(?:{_GAP}[0-9]{{3}})+(?![0-9])|(?<=[0-9]\.)[0-9]{{3}}(?:{_GAP}[0-9]{{1,3}})+"
)
_GAPS = regex.compile(_GAP)
_POINT = regex.compile(r"(?<=[0-9])\{\.\}(?=[0-9])")
_BROKEN = regex.compile(r"\\[dtc]?frac\s*(?:\{\s*([^{}]{1,40}?)\s*\}|([0-9]))\s*(?:\{\s*([^{}]{1,40}?)\s*\}|([0-9]))")
_SLASHED = regex.compile(r"([0-9]+)\u2044([0-9]+)")
_RAISED = regex.compile(rf"(?<!(?!{UNSPACED})[\w.,])(10)([\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+)")
_LOWERED = str.maketrans("\u207a\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "+-0123456789")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFFE5: 0xA5, 0xFFE1: 0xA3}
_ARABIC = {0x66A: "%", 0x66B: ".", 0x66C: ","}


class WrittenNumber(NamedTuple):
    """A number in a text."""

    value: float
    """Its value; for a percentage, the number before the sign."""
    percent: bool
    """Whether a percent sign follows."""

    @property
    def readings(self) -> tuple[float, ...]:
        """The values that it may have next to a number without a percent sign."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


def number_in(text: str, *, fractions: bool) -> WrittenNumber | None:
    """Return the number that a text consists of; None if it is not one, or not finite."""
    match = (_WITH_FRACTIONS if fractions else _PLAIN).fullmatch(_simplified(text).strip())
    number = _read(match) if match else None
    return number if number and math.isfinite(number.value) else None


def numbers_in(text: str, *, fractions: bool) -> list[WrittenNumber]:
    """Return the finite numbers in a text, in order.

    Args:
        text: an answer.
        fractions: whether ``3/4`` is one number.
    """
    found = map(_read, (_WITH_FRACTIONS if fractions else _PLAIN).finditer(_simplified(text)))
    return [number for number in found if math.isfinite(number.value)]


def narrow(text: str) -> str:
    """Return a text with full-width letters, digits and signs replaced by the usual ones."""
    return text if text.isascii() else text.translate(_WIDE)


def _simplified(text: str) -> str:
    """Return a text whose numbers are written in ASCII, without gaps between their digits."""
    if not text.isascii():
        text = narrow(text).translate(_ARABIC)
        text = "".join(map(_ascii, text))
        text = _SLASHED.sub(r"\\frac{\1}{\2}", text)
        text = _RAISED.sub(lambda found: f"{found[1]}^{{{found[2].translate(_LOWERED)}}}", text)
    text = _BROKEN.sub(lambda found: rf"\frac{{{found[1] or found[2]}}}{{{found[3] or found[4]}}}", text)
    return str(_GROUPED.sub(lambda found: _GAPS.sub("", found[0]), _POINT.sub(".", text)))


def _ascii(character: str) -> str:
    """Return a digit of any script in ASCII, and a fraction character as LaTeX."""
    if character.isascii():
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if "\u2044" in (said := unicodedata.normalize("NFKD", character)):
        top, _, bottom = said.partition("\u2044")
        return rf"\frac{{{top}}}{{{bottom}}}" if top and bottom else character
    return character


def _read(match: regex.Match[str]) -> WrittenNumber:
    if match["bottom"]:
        value = float(match["whole"] or 0) + _divided(match["top"], match["bottom"])
    elif match["ten"]:
        value = float(f"1e{_signed(match['ten'])}")
    else:
        power = _signed(match["exponent"] or match["power"] or "0")
        value = float(f"{match['digits'].replace(',', '')}e{power}")
        if match["denominator"]:
            value = _divided(str(value), match["denominator"])
    negative = (match["sign"] or "+") in _MINUS
    return WrittenNumber(-value if negative else value, match["percent"] is not None)


def _divided(top: str, bottom: str) -> float:
    divisor = float(bottom)
    return float(_signed(top)) / divisor if divisor else math.nan


def _signed(digits: str) -> str:
    return digits.replace("\u2212", "-")
