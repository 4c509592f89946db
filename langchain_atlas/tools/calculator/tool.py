"""A calculator for agents: exact where it can be, and bounded in every direction."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, ConfigDict, Field

from langchain_atlas.errors import InvalidInputError
from langchain_atlas.tools.calculator import notation
from langchain_atlas.tools.failures import answer_error, answer_validation_error

MAX_LENGTH = 2_000
"""Characters of an expression."""

MAX_SECONDS = 3.0
"""Seconds of processor time that an expression may take."""


def evaluate(expression: str, precision: int | None = None, significant_digits: int | None = None) -> str:
    """Compute an arithmetic expression, or solve an equation in one unknown.

    Decimals are exact: ``67*74-28.09`` is 4929.91. Integers and decimals that end are given in full, everything else
    with 12 digits. ``^`` and ``**`` are powers; ``5!`` is a factorial; ``15%`` is 0.15 and
    ``17 % 5`` is 2; ``1,234.5`` is one number; ``log`` is the natural logarithm; angles are in radians.

    Args:
        expression: what to compute, such as ``sqrt(2)`` or ``x^2 = 4``; it may end with the digits it wants, as in
            ``sqrt(2) to 5 significant digits``.
        precision: decimals to round to, ties away from zero; from 0 to 50.
        significant_digits: digits to round to instead, counted from the first that is not zero.

    Returns:
        The number in decimal notation, or in scientific notation when it is inexact and very large or small. For an
        equation its real solutions, as ``x = -2 or x = 2``.

    Raises:
        InvalidInputError: when the expression can't be read, has no real value, or is too large to compute.
    """
    from langchain_atlas.tools.calculator import digits, equations, parser, reals

    wanted = digits.Rounding.of(precision, significant_digits)
    if len(expression) > MAX_LENGTH:
        raise InvalidInputError(f"the expression has {len(expression)} characters; at most {MAX_LENGTH} are accepted")
    text, asked = digits.find_rounding(notation.plain(expression))
    if asked and wanted and asked != wanted:
        raise InvalidInputError("the expression asks for other digits than precision or significant_digits")
    try:
        with reals.effort(MAX_SECONDS):
            if (equation := equations.find_equation(text)) is None:
                return digits.write(parser.parse(text), wanted or asked)
            roots, unknown = equations.solve_equation(equation), equation.unknown
            if roots is None:
                return f"every {unknown} is a solution"
            written = [f"{unknown} = {digits.write(root, wanted or asked)}" for root in roots]
            return " or ".join(written) or f"no real {unknown} is a solution"
    except InvalidInputError:
        raise
    except (
        ArithmeticError,
        RecursionError,
        ValueError,
    ) as error:  # such as an integer of more digits than Python prints
        raise InvalidInputError(f"the expression can't be computed: {error}") from error


class CalculatorInput(BaseModel):
    """Arguments of the calculator."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # models write {"expression": 42}

    expression: str = Field(
        description=(
            "An arithmetic expression or an equation in one unknown, for example '67*74 - 28.09', 'sqrt(2)^3', "
            "'15% of 80', 'log(100, 10)' or '2x + 3 = 7'."
        )
    )
    precision: int | None = Field(
        default=None, description="Decimals to round the result to; leave out for the full result."
    )
    significant_digits: int | None = Field(
        default=None, description="Significant digits to round the result to, instead of decimals."
    )


class Calculator(BaseTool):
    """A LangChain tool that computes arithmetic; see `evaluate` for what it reads.

    Errors come back as an answer that begins with ``Error:``. Set ``handle_tool_error=False`` for a `ToolException`.
    """

    stays_here: ClassVar[bool] = True
    """Whether what it is asked stays in this process and beside it; see `Tool.stays_here`."""

    name: str = "calculator"
    description: str = (
        "Computes an arithmetic expression exactly, or solves an equation in one unknown. "
        "Operators: + - * / ^ % !, with functions such as sqrt, sin, log "
        "(natural; log(x, base) for others), round, min, max, gcd, factorial, binomial, and the constants pi and e. "
        "Angles are in radians."
    )
    args_schema: type[BaseModel] = CalculatorInput
    handle_tool_error: bool | str | Callable[[ToolException], str] | None = answer_error
    handle_validation_error: bool | str | Callable[[Any], str] | None = answer_validation_error

    def _run(self, expression: str, precision: int | None = None, significant_digits: int | None = None) -> str:
        try:
            return evaluate(expression, precision, significant_digits)
        except InvalidInputError as error:
            raise ToolException(str(error)) from error

    async def _arun(self, expression: str, precision: int | None = None, significant_digits: int | None = None) -> str:
        # It may take seconds, and the first call imports python-flint, which reads files.
        return await asyncio.to_thread(self._run, expression, precision, significant_digits)
