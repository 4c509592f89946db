"""From the text of an expression to its tokens: numbers, names, operators, and what people write for them."""

import re
from dataclasses import dataclass

from langchain_atlas.errors import InvalidInputError

# Look-alikes of operators, as escapes because an editor can't tell them from the real ones:
# products (cross, dots, asterisk), quotients (obelus, slashes), dashes, and the full-width forms.
_SYMBOLS = str.maketrans(
    {
        **dict.fromkeys("\u00d7\u00b7\u2219\u22c5\u2217\uff0a", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044\uff0f", "/"),
        **dict.fromkeys("\u2212\u2013\u2014\u2012\ufe63\uff0d", "-"),
        **dict.fromkeys("\uff0b\ufe62", "+"),
        "\uff05": "%",
        "\uff08": "(",
        "\uff09": ")",
        "\u03c0": "pi",
        "\u03c4": "tau",
    }
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")

_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?")
_NUMBER = re.compile(r"(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_OPERATOR = re.compile(r"\*\*|//|[-+*/%^!(),√]")

WORDS = {"mod": "%", "of": "*", "times": "*", "x": "*", "plus": "+", "minus": "-"}
"""What people write for an operator, understood only where an operator can stand."""


@dataclass(frozen=True)
class Token:
    """A piece of an expression."""

    kind: str
    """``number``, ``name``, ``operator`` or ``end``."""

    text: str
    """As written, after symbols were brought to ASCII."""

    spaced: bool
    """Whether white space comes before it."""

    @property
    def ends_operand(self) -> bool:
        """Whether an operator can stand after it."""
        return self.kind in {"number", "name"} or self.text in {")", "!", "%"}


def tokenize(text: str) -> list[Token]:
    """Split an expression into tokens, the last of kind ``end``.

    A comma between digits is a thousands separator, except directly inside the parentheses of a function, where it
    separates arguments.

    Raises:
        InvalidInputError: at a character that no expression contains.
    """
    text = _SUPERSCRIPT_RUN.sub(lambda run: f"^({run[0].translate(_SUPERSCRIPTS)})", text)
    # "2+2=?" asks for what "2+2" gives.
    text = text.translate(_SYMBOLS).strip().rstrip("?").rstrip().rstrip("=").rstrip()
    tokens: list[Token] = []
    calls: list[bool] = []
    position, spaced = 0, False
    while position < len(text):
        if text[position].isspace():
            position, spaced = position + 1, True
            continue
        in_call = bool(calls) and calls[-1]
        kind, piece = _piece(text, position, in_call=in_call)
        if piece == "(":
            calls.append(_opens_call(tokens))
        elif piece == ")" and calls:
            calls.pop()
        tokens.append(Token(kind, "^" if piece == "**" else piece, spaced))
        position, spaced = position + len(piece), False
    return [*tokens, Token("end", "", spaced)]


def _piece(text: str, position: int, *, in_call: bool) -> tuple[str, str]:
    patterns = [("number", _NUMBER), ("name", _NAME), ("operator", _OPERATOR)]
    for kind, pattern in patterns if in_call else [("number", _GROUPED), *patterns]:
        if match := pattern.match(text, position):
            return kind, match[0]
    raise InvalidInputError(f"unexpected {text[position]!r}; write numbers, + - * / ^ % ! and functions")


def _opens_call(tokens: list[Token]) -> bool:
    """Whether a parenthesis after these tokens holds the arguments of a function."""
    if not tokens or tokens[-1].kind != "name":
        return False
    return not (tokens[-1].text.lower() in WORDS and len(tokens) > 1 and tokens[-2].ends_operand)
