"""A calculator for agents: exact where it can be, and bounded in every direction."""

import asyncio
import threading
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact
from typing import Any

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools import arithmetic, expressions
from langchain_atlas.tools.answers import answer_error, answer_validation_error

SIGNIFICANT_DIGITS = 12
"""Digits shown of a number whose decimals do not end."""

MAX_EXACT_DIGITS = 50
"""A fraction whose decimals end is shown in full up to this many significant digits."""

MAX_PRECISION = 50
"""Decimals that can be asked for."""

_LARGEST_PLAIN_EXPONENT = 15
_SMALLEST_PLAIN_EXPONENT = -7

# sympy sets the precision of a shared mpmath context while it evaluates, so two threads would disturb each other.
_EVALUATION = threading.Lock()


def evaluate(expression: str, precision: int | None = None) -> str:
    """Compute an arithmetic expression.

    Decimals are exact: ``67*74-28.09`` is 4929.91. Integers and decimals that end are given in full, everything else
    with `SIGNIFICANT_DIGITS` digits. ``^`` and ``**`` are powers; ``5!`` is a factorial; ``15%`` is 0.15 and
    ``17 % 5`` is 2; ``1,234.5`` is one number; ``log`` is the natural logarithm; angles are in radians.

    Args:
        expression: what to compute.
        precision: decimals to round to, ties away from zero; from 0 to `MAX_PRECISION`.

    Returns:
        The number in decimal notation, or in scientific notation when it is inexact and very large or small.

    Raises:
        InvalidInputError: when the expression can't be read, has no real value, or is too large to compute.
    """
    if precision is not None and not 0 <= precision <= MAX_PRECISION:
        raise InvalidInputError(f"precision must be from 0 to {MAX_PRECISION} decimals, not {precision!r}")
    with _EVALUATION:
        try:
            value = expressions.parse(expression)
            return _shown(value) if precision is None else _fixed(value, precision)
        except (ArithmeticError, NotImplementedError, RecursionError) as error:
            raise InvalidInputError(f"the expression can't be computed: {error}") from error


def _shown(value: Any) -> str:
    if value.is_Integer:
        return str(int(value))
    if value.is_Rational:
        exact = Context(prec=MAX_EXACT_DIGITS)
        number = exact.divide(Decimal(value.p), Decimal(value.q))
        if not exact.flags[Inexact]:
            return _plain(number.normalize(exact), smallest=-20)
    rounding = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_UP)
    if value.is_Rational:
        number = rounding.divide(Decimal(value.p), Decimal(value.q))
    else:
        number = rounding.create_decimal(str(value.evalf(2 * SIGNIFICANT_DIGITS)))
    return _plain(number.normalize(rounding))


def _plain(number: Decimal, smallest: int = _SMALLEST_PLAIN_EXPONENT) -> str:
    """Decimal notation where it is short, scientific notation beyond."""
    if smallest < number.adjusted() < _LARGEST_PLAIN_EXPONENT:
        return f"{number:f}"
    return f"{number:e}"


def _fixed(value: Any, precision: int) -> str:
    """The value with exactly `precision` decimals."""
    scaled = arithmetic.round_half_up(arithmetic.multiply(value, arithmetic.rational(10**precision)))
    digits = str(abs(int(scaled))).rjust(precision + 1, "0")
    sign = "-" if scaled < 0 else ""
    whole, decimals = digits[: len(digits) - precision], digits[len(digits) - precision :]
    return f"{sign}{whole}.{decimals}" if precision else f"{sign}{whole}"


class CalculatorInput(BaseModel):
    """Arguments of the calculator."""

    expression: str = Field(
        description="An arithmetic expression, for example '67*74 - 28.09', 'sqrt(2)^3', '15% of 80' or 'log(100, 10)'."
    )
    precision: int | None = Field(
        default=None, description="Decimals to round the result to; leave out for the full result."
    )


class Calculator(BaseTool):
    """A LangChain tool that computes arithmetic; see `evaluate` for what it reads.

    Errors come back as an answer that begins with ``Error:``. Set ``handle_tool_error=False`` for a `ToolException`.
    """

    name: str = "calculator"
    description: str = (
        "Computes an arithmetic expression exactly. Operators: + - * / ^ % !, with functions such as sqrt, sin, log "
        "(natural; log(x, base) for others), round, min, max, gcd, factorial, binomial, and the constants pi and e. "
        "Angles are in radians."
    )
    args_schema: type[BaseModel] = CalculatorInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    def _run(self, expression: str, precision: int | None = None) -> str:
        try:
            return evaluate(expression, precision)
        except InvalidInputError as error:
            raise ToolException(str(error)) from error

    async def _arun(self, expression: str, precision: int | None = None) -> str:
        # The first call imports sympy, which reads files.
        return await asyncio.to_thread(self._run, expression, precision)
