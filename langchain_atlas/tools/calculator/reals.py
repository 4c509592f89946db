"""Real numbers: exact fractions while they are short, and balls that are made as small as an answer needs.

A ball is an interval that certainly holds its number (python-flint's ``arb``). A number remembers how it was made, and
is computed again with twice the digits until its ball settles what is asked: a sign, a digit. So no digit is shown that
was lost to rounding. What would take too many digits, or too long, is refused.

No ball can settle that two numbers are equal, as ``sin(pi/6)`` and ``1/2`` are. They count as equal when they agree in
`EVIDENCE` times as many digits as went into them. Numbers that differ and yet agree so far are not known: an agreement
of many digits takes many digits, or many operations, to write down.
"""

import math
import operator
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from typing import Any, TypeVar

from flint import arb, ctx, fmpq, fmpz

from langchain_atlas.errors import InvalidInputError

MAX_DIGITS = 4_000
"""Numbers above 10**4000, or nearer to zero than its inverse, are refused: Python prints integers up to 4300 digits."""

MAX_WHOLE_DIGITS = 45
"""An inexact number of more digits before its point is neither rounded to a whole one nor taken as an angle."""

EVIDENCE = 20
"""Digits in which two numbers have to agree to be equal, for each digit and operation that went into them."""

_FIRST_BITS = 192
_MOST_BITS = _FIRST_BITS << 8
"""Some 14,800 digits: enough for numbers of `MAX_DIGITS` that agree in `MAX_DIGITS`. One operation takes 0.02 s."""

_CERTAIN_BITS = 64
"""A number is known when its ball is so much smaller than it; then estimates of its size and sign hold."""

_PLAIN_DENOMINATOR = 10**6
_PLAIN_DIGITS = 30
"""An inexact number is tried for being a fraction with no larger denominator and no more digits before its point."""

# python-flint has one precision for the whole process. The lock is held for one operation at a time; and whatever
# others set the precision to, a ball stays true: it only gets wider.
_PRECISION = threading.Lock()
_until: ContextVar[float] = ContextVar("until", default=math.inf)
_Result = TypeVar("_Result")


@contextmanager
def effort(seconds: float) -> Iterator[None]:
    """Refuse what takes this thread longer to compute, within the block."""
    token = _until.set(time.thread_time() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def with_bits(bits: int, operation: Callable[..., _Result], *arguments: Any) -> _Result:
    """What an operation of python-flint gives with a precision.

    Raises:
        InvalidInputError: when the time for the expression is over.
    """
    if time.thread_time() > _until.get():
        raise InvalidInputError("the expression takes too long to compute")
    with _PRECISION, ctx.workprec(bits):
        return operation(*arguments)


class Real:
    """A real number. Operations on it raise `InvalidInputError` where the result is undefined or not known."""

    __slots__ = ("bits", "exact", "narrowest", "operation", "parts", "radical", "weight")

    exact: fmpq | None
    """The number as a fraction; none if it is known by its balls alone, and then it is not zero."""

    radical: tuple[fmpq, fmpq] | None
    """The fraction and the exponent that it is a power of, where that is known."""

    weight: float
    """How many digits and operations went into it."""

    def __init__(
        self, operation: Callable[..., arb], parts: tuple["Real", ...], weight: float, exact: fmpq | None = None
    ) -> None:
        self.operation, self.parts, self.weight, self.exact = operation, parts, weight, exact
        self.narrowest, self.bits, self.radical = arb.nan(), 0, None

    @classmethod
    def of(cls, number: fmpq | fmpz | int) -> "Real":
        """A fraction as a number."""
        exact = fmpq(number)
        return cls(lambda: arb(exact), (), 1 + _digits(exact.p) + _digits(exact.q), exact)

    def __add__(self, other: "Real") -> "Real":
        return self._with(operator.add, other)

    def __sub__(self, other: "Real") -> "Real":
        return self._with(operator.sub, other)

    def __mul__(self, other: "Real") -> "Real":
        return self._with(operator.mul, other)

    def __truediv__(self, other: "Real") -> "Real":
        if other.is_zero:
            raise InvalidInputError("division by zero")
        return self._with(operator.truediv, other)

    def _with(self, operation: Callable[[Any, Any], Any], other: "Real") -> "Real":
        exact = self.exact is not None and other.exact is not None
        return Real.of(operation(self.exact, other.exact)) if exact else inexact(operation, self, other)

    def __floordiv__(self, other: "Real") -> "Real":
        return floor(self / other)

    def __mod__(self, other: "Real") -> "Real":
        return self - other * (self // other)

    def __neg__(self) -> "Real":
        return Real.of(0) - self

    def __abs__(self) -> "Real":
        return -self if self.is_negative else self

    @property
    def is_zero(self) -> bool:
        """Whether it is zero."""
        return self.exact == 0

    @property
    def is_negative(self) -> bool:
        """Whether it is below zero."""
        return bool(self.narrowest < 0 if self.exact is None else self.exact < 0)

    @property
    def size(self) -> float:
        """The decimal logarithm of its absolute value, to some ten digits; it must not be zero."""
        if self.exact is not None:
            return _digits(self.exact.p) - _digits(self.exact.q)
        return _logarithm(self.narrowest.mid())

    def __float__(self) -> float:
        size = -math.inf if self.is_zero else self.size
        magnitude = 10**size if size < 300 else math.inf  # noqa: PLR2004 -- where floats end
        return -magnitude if self.is_negative else magnitude

    def ball(self, bits: int) -> arb:
        """An interval that holds the number, computed with so many bits."""
        waiting = [self]  # rather than by recursion: a sum may be 500 numbers deep
        while waiting:
            number = waiting[-1]
            if missing := [part for part in number.parts if part.bits < bits]:
                waiting += missing
                continue
            waiting.pop()
            if number.bits < bits:
                parts = [part.narrowest for part in number.parts]
                number.narrowest, number.bits = with_bits(bits, number.operation, *parts), bits
        return self.narrowest

    def balls(self) -> Iterator[arb]:
        """Ever smaller balls, as far as the bounds go."""
        bits = _FIRST_BITS
        while bits <= _MOST_BITS:
            ball = self.ball(bits)
            if ball.is_finite():
                yield ball
            bits *= 2


def inexact(operation: Callable[..., arb], *parts: Real, weight: float | None = None) -> Real:
    """What an operation on balls gives: a number that is not zero, or the short fraction that it is.

    Args:
        operation: from balls to a ball; one that is not finite asks for smaller ones.
        parts: the numbers that it is given.
        weight: the digits and operations in the result; by default the sum of those of its parts.

    Raises:
        InvalidInputError: when it can't be told from zero.
    """
    number = Real(operation, parts, 1 + sum(part.weight for part in parts) if weight is None else weight)
    zero = _vanishes(number)
    if zero is None:
        raise InvalidInputError(
            f"two inexact numbers agree in {MAX_WHOLE_DIGITS} digits and more; whether they differ at all is not known"
        )
    if zero:
        return Real.of(0)
    number.weight += abs(number.size)
    return _plain(number) or number


def function(operation: Callable[[arb], arb], argument: Real, *, extra: float = 0) -> Real:
    """What a function of balls gives; where its slope is zero, differences come out squared, so digits count double."""
    return inexact(operation, argument, weight=1 + 2 * argument.weight + extra)


def _vanishes(number: Real) -> bool | None:
    """Whether a number is zero; none if that is not known."""
    enough = EVIDENCE * number.weight
    for ball in number.balls():
        if ball.is_zero():
            return True
        if ball.rel_accuracy_bits() >= _CERTAIN_BITS:
            return False
        if _logarithm(ball.abs_upper()) < -min(enough, MAX_DIGITS):
            return True if enough <= MAX_DIGITS else None
    return None


def _plain(number: Real) -> Real | None:
    """The fraction with a small denominator that a number is, if it is one."""
    if abs(number.size) > _PLAIN_DIGITS:
        return None
    middle = fraction(number.narrowest.mid())
    near = Fraction(int(middle.p), int(middle.q)).limit_denominator(_PLAIN_DENOMINATOR)
    plain = Real.of(fmpq(near.numerator, near.denominator))
    apart = Real(operator.sub, (number, plain), 1 + number.weight + plain.weight)
    return plain if EVIDENCE * apart.weight <= MAX_DIGITS and _vanishes(apart) else None


def _digits(number: fmpz) -> float:
    return math.log10(max(abs(int(number)), 1))


def _logarithm(number: arb) -> float:
    """The decimal logarithm of the absolute value of an exact number, which is not zero."""
    mantissa, exponent = number.man_exp()
    return _digits(mantissa) + int(exponent) * math.log10(2)


def fraction(number: arb) -> fmpq:
    """An exact number that is not negative, or a multiple of 2**-100000, as a fraction; else one that is larger.

    python-flint's own conversion ends the process where the fraction would not fit into memory.
    """
    mantissa, exponent = number.man_exp()
    return fmpq(mantissa) * fmpq(2) ** max(int(exponent), -2 * _MOST_BITS)


def length(number: fmpq) -> float:
    """The digits of the longer part of a fraction."""
    return max(_digits(number.p), _digits(number.q))


def bounded(value: Real) -> Real:
    """A result of an operation, if it is within the bounds; inexact from now on if it is long."""
    if not value.is_zero:
        refuse_size(value.size)
    if value.exact is None or length(value.exact) <= MAX_DIGITS:
        return value
    long = Real(value.operation, (), value.weight)
    long.ball(_FIRST_BITS)
    return long


def refuse_size(digits: float) -> None:
    """Raise `InvalidInputError` for a result of that many digits, before or after the point, if they are too many."""
    if abs(digits) > MAX_DIGITS:
        size = "large" if digits > 0 else "small"
        raise InvalidInputError(f"the result is too {size}: the calculator stops at {MAX_DIGITS} digits")


def floor(value: Real) -> Real:
    """The largest whole number not above the value."""
    refuse_long(value)
    return Real.of(whole_part(value))


def refuse_long(value: Real) -> None:
    """Raise `InvalidInputError` for an inexact number with too many digits before its point to be made whole."""
    if value.exact is None and value.size > MAX_WHOLE_DIGITS:
        raise InvalidInputError(f"an inexact number above 10**{MAX_WHOLE_DIGITS} can't be rounded to a whole one")


def whole_part(value: Real) -> int:
    """The largest whole number not above a number of any size."""
    if value.exact is not None:
        return int(value.exact.floor())
    for ball in value.balls():
        middle, radius = fraction(ball.mid()), fraction(ball.rad())
        low, high = (middle - radius).floor(), (middle + radius).floor()
        if low == high:
            return int(low)
        if radius < fmpq(1, 4):  # a whole number in disguise, or one very close to it
            return int(high) - (value - Real.of(high)).is_negative
    raise InvalidInputError("the result is not known: it takes more digits than the calculator computes with")


def nearest(value: Real, decimals: int = 0) -> int:
    """The value times ten to so many decimals, as a whole number; ties go away from zero, as taught in school."""
    whole = whole_part(abs(value) * Real.of(fmpq(10) ** decimals) + Real.of(fmpq(1, 2)))
    return -whole if value.is_negative else whole


def integer(value: Real, role: str, minimum: int | None = None) -> int:
    """The Python integer of a number.

    Raises:
        InvalidInputError: when it is not whole, or below the minimum.
    """
    if value.exact is None or value.exact.q != 1 or (minimum is not None and value.exact < minimum):
        wanted = "a whole number" if minimum is None else f"a whole number of at least {minimum}"
        raise InvalidInputError(f"{role} must be {wanted}")
    return int(value.exact)
