"""What people and models write around an expression, and for its signs: LaTeX, currencies, words, modules.

All of it is brought to the signs of `parser` before that reads it. What would then read two ways is refused.
"""

import re

from langchain_atlas.errors import InvalidInputError

_ASKED = re.compile(
    r"(?:what(?:'s|\s+is)|how\s+much\s+is|calculate|compute|evaluate|simplify|round\s+(?=[^(\s].*\bto\s))\b\s*:?\s*",
    re.IGNORECASE,
)
_QUOTES = ("```", "`", '"', "'", "$$", "$")
_WRAPPED = re.compile(r"\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)
_MODULE = re.compile(r"\b(?:math|np|numpy|sympy)\.(?=[a-z])")
_LIST_ARGUMENT = re.compile(r"\b([A-Za-z]\w*\s*\()\s*\[([^\[\]]*)\]\s*\)")
_DEGREES = re.compile(r"\b(sin|cos|tan)(\(\s*-?[0-9.]+)\s*(?:°|degrees?|deg)\s*\)", re.IGNORECASE)
_BARS = re.compile(r"\|([^|]+)\|")
_BASE = re.compile(r"\\?\blog_\{?(2|10)\}?(?=\s*\()")
_CURRENCY = "$€£¥₹"
_WORDS = (
    (re.compile(r"\bper\s?cent\b", re.IGNORECASE), "%"),
    (re.compile(r"\bdivided\s+by\b", re.IGNORECASE), "/"),
    (re.compile(r"\bmultiplied\s+by\b", re.IGNORECASE), "*"),
    (re.compile(r"\b(?:raised\s+)?to\s+the\s+power(?:\s+of)?\b", re.IGNORECASE), "^"),
    (re.compile(r"(?<=[\w)])\s+squared\b", re.IGNORECASE), "^2"),
    (re.compile(r"(?<=[\w)])\s+cubed\b", re.IGNORECASE), "^3"),
)

_SPACES = re.compile(r"\\(?:[,;:! ]|q?quad\b|left\b|right\b)")
_SIGNS = {r"\times": "*", r"\cdot": "*", r"\ast": "*", r"\div": "/", r"\pi": " pi ", r"\%": "%", r"\$": "$"}
_SIGN = re.compile(r"\\(?:(?:times|cdot|ast|div|pi)(?![a-zA-Z])|[%$])")
_TEXT = re.compile(r"\\(?:text|mathrm|operatorname)\{([^{}]*)\}")
_MIXED = re.compile(r"[0-9]\s*\\[dt]?frac\{\s*[0-9]+\s*\}\{\s*[0-9]+\s*\}|[0-9]\s*\\[dt]?frac[0-9]{2}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac([0-9])([0-9])")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\[([^\[\]{}]*)\]\{([^{}]*)\}")
_SQUARE_ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")
_GROUP = re.compile(r"(?<![\w\]}])\{([^{}]*)\}")
_NAMED = re.compile(r"\\(?=(?:sin|cos|tan|ln|log|exp|min|max|gcd)\b)")
_MOST_NESTED = 40


def plain(text: str) -> str:
    """An expression or equation in the signs that the calculator reads.

    Args:
        text: as it was written.

    Raises:
        InvalidInputError: when it holds several currencies, or a mixed number that could be a product.
    """
    text = _bare(text)
    text = _BASE.sub(r"log\1", text)
    if "\\" in text or "{" in text:
        text = _without_latex(text)
    text = _without_currency(_MODULE.sub("", text))
    text = _DEGREES.sub(r"\1(radians\2))", _LIST_ARGUMENT.sub(r"\1\2)", text))
    if not text.count("|") % 2:
        text = _BARS.sub(r"abs(\1)", text)
    for words, sign in _WORDS:
        text = words.sub(sign, text)
    return text.replace("[", "(").replace("]", ")")


def _bare(text: str) -> str:
    """The text without quotes, marks of code and of formulas, and the words that ask for its value."""
    text = text.strip()
    for quote in _QUOTES:
        inner = text[len(quote) : -len(quote)]
        if len(text) > 2 * len(quote) and text.startswith(quote) and text.endswith(quote) and quote not in inner:
            text = inner.strip()
    if wrapped := _WRAPPED.fullmatch(text):
        text = (wrapped[1] or wrapped[2] or "").strip()
    asked = _ASKED.match(text)
    text = text[asked.end() :] if asked else text
    return text if text.startswith("==") else text.removeprefix("=")


def _without_latex(text: str) -> str:
    text = re.sub(r"\s+\{", "{", _SPACES.sub("", text.replace("{,}", ",")))
    text = _NAMED.sub("", _TEXT.sub(r"\1", _SIGN.sub(lambda sign: _SIGNS[sign[0]], text)))
    if mixed := _MIXED.search(text):
        raise InvalidInputError(f"{mixed[0]!r} can be read in two ways; write 2 + 1/2 for two and a half, or 2 * 1/2")
    text = _SHORT_FRACTION.sub(r"(\1/\2)", text)
    for _ in range(_MOST_NESTED):
        before = text
        text = _FRACTION.sub(r"((\1)/(\2))", text)
        text = _SQUARE_ROOT.sub(r"sqrt(\1)", _ROOT.sub(r"root(\2, \1)", text))
        text = _GROUP.sub(r"(\1)", text)
        if text == before:
            break
    return text


def _without_currency(text: str) -> str:
    """The text without the sign of its one currency."""
    signs = sorted({character for character in text if character in _CURRENCY})
    if len(signs) > 1:
        raise InvalidInputError(f"amounts in {' and '.join(signs)} can't be computed together; convert them first")
    return re.sub(rf"[{_CURRENCY}]\s*(?=[0-9.])|(?<=[0-9])\s*[{_CURRENCY}]", "", text) if signs else text
