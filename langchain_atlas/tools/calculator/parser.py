"""From the text of an arithmetic expression to its value, in one pass of a parser of our own.

The text never reaches an interpreter. What the grammar does not name does not exist.

    expression = term { ("+" | "-") term }
    term       = factor { ("*" | "/" | "//" | "%" | "mod" | nothing) factor }
    factor     = ("+" | "-") factor | power
    power      = postfix [ "^" factor ]
    postfix    = atom { "!" | "%" }
    atom       = number | constant | function "(" expression { "," expression } ")" | "(" expression ")" | "√" atom
"""

import operator
import re
from collections.abc import Callable
from typing import Any, NoReturn

from flint import fmpq

from langchain_atlas.errors import InvalidInputError, suggest
from langchain_atlas.tools.calculator import quotients
from langchain_atlas.tools.calculator.functions import ALIASES, CONSTANTS, FUNCTIONS, NamedFunction, power
from langchain_atlas.tools.calculator.quotients import Quotient, Value
from langchain_atlas.tools.calculator.reals import MAX_DIGITS, Real, bounded
from langchain_atlas.tools.calculator.tokens import WORDS, Token, tokenize

MAX_TOKENS = 500
"""Numbers, names and operators of an expression."""

MAX_DEPTH = 40
"""How deep parentheses, signs and powers may nest; well inside Python's own recursion limit."""

_THOUSANDS = re.compile(r"[0-9]{1,3},[0-9]{3}(?:\.[0-9]+)?")


def _operation(apply: Callable[..., Any], known: str = "") -> Callable[..., Any]:
    """An operation on values with and without an unknown, whose result is within the bounds.

    Args:
        apply: from values of one kind to a value.
        known: its name in the message, if it takes no unknown.
    """

    def checked(*values: Value) -> Value:
        if not any(isinstance(value, Quotient) for value in values):
            return bounded(apply(*values))
        if known:
            raise InvalidInputError(
                f"the unknown can't stand inside {known}; equations are read with + - * / ^ and brackets around it"
            )
        quotient: Quotient = apply(*map(Quotient.of, values))
        return quotient

    return checked


_SUMS = {"+": _operation(operator.add), "-": _operation(operator.sub)}
_PRODUCTS = {
    "*": _operation(operator.mul),
    "/": _operation(operator.truediv),
    "//": _operation(operator.floordiv, "//"),
    "%": _operation(operator.mod, "%"),
}
_POWER = _operation(lambda base, exponent: base**exponent if isinstance(base, Quotient) else power(base, exponent))
_FACTORIAL = _operation(FUNCTIONS["factorial"].apply, "a factorial")
_SQUARE_ROOT = _operation(FUNCTIONS["sqrt"].apply, "a root")


def parse(text: str, unknown: str | None = None) -> Any:
    """The value of an expression, a `Real`.

    Args:
        text: the expression.
        unknown: the letter of the unknown; the value is a `Quotient` if it occurs.

    Raises:
        InvalidInputError: when it can't be read or computed within the bounds; the message says which and where.
    """
    tokens = tokenize(text)
    if len(tokens) == 1:
        raise InvalidInputError("the expression is empty")
    if len(tokens) > MAX_TOKENS:
        raise InvalidInputError(f"the expression has {len(tokens)} parts; at most {MAX_TOKENS} are accepted")
    return _Parser(tokens, unknown).whole()


class _Parser:
    """Reads tokens from left to right, and computes as it reads."""

    def __init__(self, tokens: list[Token], unknown: str | None) -> None:
        self._tokens = tokens
        self._unknown = unknown
        self._next = 0
        self._depth = 0

    def whole(self) -> Value:
        value = self._expression()
        if self._peek().kind != "end":
            self._unexpected()
        return value

    def _expression(self) -> Value:
        start = self._next
        value = self._term()
        parts = self._is_percentage(start)
        while operator := self._operator(_SUMS):
            start = self._next
            term = self._term()
            if self._is_percentage(start) and not (parts or (isinstance(value, Real) and value.exact == 1)):
                percent = self._tokens[start].text
                raise InvalidInputError(
                    f"'{operator} {percent}%' can be read in two ways; write * (1 {operator} {percent}%) for a change "
                    f"by that part, or {operator} {percent}/100 for the number"
                )
            value, parts = _SUMS[operator](value, term), False
        return value

    def _is_percentage(self, start: int) -> bool:
        """Whether what was read from a place on is a number of hundredths and nothing else."""
        first, *rest = self._tokens[start : self._next]
        return first.kind == "number" and [token.text for token in rest] == ["%"]

    def _term(self) -> Value:
        value = self._factor()
        divided = False
        while True:
            if operator := self._operator(_PRODUCTS):
                divided = divided or operator != "*"
            elif self._implicit_product():
                if divided:
                    self._ambiguous()
                operator = "*"
            else:
                return value
            value = _PRODUCTS[operator](value, self._factor())

    def _factor(self) -> Value:
        token = self._peek()
        if token.text not in _SUMS:
            return self._power()
        self._take()
        with_sign = self._nested(self._factor)
        return with_sign if token.text == "+" else -with_sign

    def _power(self) -> Value:
        base = self._postfix()
        if self._peek().text != "^":
            return base
        self._take()
        value: Value = _POWER(base, self._nested(self._factor))
        if self._implicit_product():
            self._ambiguous()
        return value

    def _postfix(self) -> Value:
        value: Value = self._atom()
        while True:
            if self._peek().text == "!":
                self._take()
                if self._peek().text == "!":
                    raise InvalidInputError("'!!' can be read in two ways; use parentheses, as in (3!)!")
                value = _FACTORIAL(value)
            elif self._peek().text == "%" and self._is_percent():
                self._take()
                value = _PRODUCTS["/"](value, Real.of(100))
            else:
                return value

    def _atom(self) -> Any:
        token = self._peek()
        if token.kind == "operator" and token.text not in {"(", "√"}:
            self._unexpected()
        self._take()
        if token.kind == "number":
            return _literal(token.text)
        if token.text == "(":
            value = self._nested(self._expression)
            self._close()
            return value
        if token.text == "√":
            return _SQUARE_ROOT(self._nested(self._atom))
        if token.kind == "name":
            return quotients.unknown() if token.text == self._unknown else self._named(token.text.lower())
        return self._unexpected()

    def _named(self, name: str) -> Any:
        called = self._peek().text == "("
        name = ALIASES.get(name, name)
        if name in CONSTANTS and not called:
            return CONSTANTS[name]()
        if name not in FUNCTIONS:
            valid = FUNCTIONS if called else (*CONSTANTS, *FUNCTIONS)
            raise InvalidInputError(f"unknown name {name!r}. {suggest(name, valid, limit=50)}")
        if not called:
            raise InvalidInputError(f"{name} is a function: write {name}(...)")
        arguments = self._arguments(name)
        function = FUNCTIONS[name]
        if not function.fewest <= len(arguments) <= function.most:
            raise InvalidInputError(_wrong_count(name, function, len(arguments)))
        return _operation(function.apply, name)(*arguments)

    def _arguments(self, name: str) -> list[Value]:
        """The values in the brackets of a function."""
        self._take()
        arguments = [] if self._peek().text == ")" else [self._nested(self._expression)]
        commas = []
        while self._peek().text == ",":
            commas.append(self._next)
            self._take()
            arguments.append(self._nested(self._expression))
        self._close()
        self._refuse_thousands(name, commas)
        return arguments

    def _refuse_thousands(self, name: str, commas: list[int]) -> None:
        """Refuse a comma that looks like one of thousands, unlike the others or before a number such as 000."""
        for place in commas:
            before, after = self._tokens[place - 1], self._tokens[place + 1]
            written = f"{before.text},{after.text}"
            if after.spaced or not _THOUSANDS.fullmatch(written):
                continue
            if after.text.startswith("0") or any(self._tokens[other + 1].spaced for other in commas):
                raise InvalidInputError(
                    f"'{written}' in {name}(...) can be read in two ways; write {written.replace(',', '')} for one "
                    f"number, or {before.text}, {after.text} for two"
                )

    def _close(self) -> None:
        if self._peek().text != ")":
            self._unexpected("')'")
        self._take()

    def _nested(self, read: Callable[[], Value]) -> Value:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidInputError(f"the expression nests deeper than {MAX_DEPTH} levels")
        value = read()
        self._depth -= 1
        return value

    def _operator(self, operators: dict[str, Callable[[Any, Any], Any]]) -> str:
        """Take the next token if it is one of these operators, in symbols or words; else an empty string."""
        token = self._peek()
        symbol = WORDS.get(token.text.lower(), "") if self._is_word(token) else token.text
        if symbol not in operators:
            return ""
        self._take()
        return symbol

    def _implicit_product(self) -> bool:
        """Whether a product is written without its sign, as in ``2pi`` and ``3(4+5)``."""
        before, token = self._tokens[self._next - 1], self._peek()
        if before.kind != "number" and before.text not in {")", "!", self._unknown}:
            return False
        return token.text in {"(", "√"} or (token.kind == "name" and not self._is_word(token))

    def _is_word(self, token: Token) -> bool:
        """Return whether a name means an operator, as in ``6 x 7``."""
        return token.kind == "name" and token.text != self._unknown and token.text.lower() in WORDS

    def _is_percent(self) -> bool:
        """Return whether a ``%`` means hundredths; before an operand it is a modulo.

        Before a sign both readings make sense. It is a modulo only where it is written as one: ``10 % -3``.
        """
        percent, after = self._peek(), self._tokens[self._next + 1]
        if after.text in _SUMS:
            operand = self._tokens[self._next + 2]
            return not (percent.spaced and after.spaced and not operand.spaced)
        if after.kind == "name":
            return self._is_word(after)
        return after.kind != "number" and after.text not in {"(", "√"}

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> None:
        self._next += self._peek().kind != "end"

    def _unexpected(self, wanted: str = "a number, a constant, a function or '('") -> NoReturn:
        token = self._peek()
        if token.kind == "end":
            raise InvalidInputError(f"the expression ends where {wanted} should follow")
        before = "".join(f" {t.text}" if t.spaced else t.text for t in self._tokens[: self._next]).strip()
        where = f"after {before[-30:]!r}" if before else "at the start"
        raise InvalidInputError(f"unexpected {token.text!r} {where}{self._hint(token)}")

    def _hint(self, token: Token) -> str:
        """What a number of another country, or one with spaces in it, should look like."""
        if not self._next or self._tokens[self._next - 1].kind != "number":
            return ""
        if token.text == "," or token.text.startswith("."):
            return "; write decimals after a point, and 1,234.5 or 1234.5 for thousands"
        return "; write numbers without spaces, and 3 1/2 as 3 + 1/2" if token.kind == "number" else ""

    def _ambiguous(self) -> NoReturn:
        raise InvalidInputError(
            f"a product without a sign before {self._peek().text!r} can be read in two ways; write * or parentheses"
        )


def _literal(text: str) -> Real:
    """The exact value of a decimal number."""
    mantissa, _, exponent = text.replace(",", "").replace("_", "").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    shift = int(exponent or 0) - len(fraction)
    if abs(shift) > MAX_DIGITS:
        raise InvalidInputError(f"the number {text[:30]!r} has more than {MAX_DIGITS} digits")
    digits = int(whole + fraction)
    return bounded(Real.of(fmpq(digits) * fmpq(10) ** shift))


def _wrong_count(name: str, function: NamedFunction, given: int) -> str:
    wanted = str(function.fewest) if function.fewest == function.most else f"{function.fewest} to {function.most}"
    hint = " (inside a function a comma separates arguments: write 1234, not 1,234)" if given > function.most else ""
    return f"{name} takes {wanted} argument{'s' if wanted != '1' else ''}, not {given}{hint}"
