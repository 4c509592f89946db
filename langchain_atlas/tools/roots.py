"""The real roots of a polynomial with rational coefficients: found between its turning points, by halving.

Signs are computed in whole numbers, so none is ever wrong; the work grows with the degree and the digits, and no
polynomial takes more than a moment. (sympy's own isolation takes minutes where roots differ greatly in size.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

RELATIVE_BITS = 220
"""How closely a root is enclosed, as a power of two of its size: some 66 decimal digits."""

_TURN_BITS = 100
"""The same for turning points, which only keep roots apart."""

_PLAIN_DENOMINATOR = 10**15
"""A root this close to a fraction with no larger denominator is tried for being it."""


def real_roots(coefficients: Sequence[Fraction]) -> list[Fraction]:
    """The distinct real roots.

    Args:
        coefficients: by power, from 0; the last is not zero.

    Returns:
        Each root to `RELATIVE_BITS`, exactly where it is a fraction with a short denominator.
    """
    whole = _without_repeated_factors(coefficients)
    return [_plain(whole, root) for root in _between_turns(whole)]


def _without_repeated_factors(coefficients: Sequence[Fraction]) -> list[int]:
    """A polynomial of whole numbers with the same roots, each of them single."""
    import sympy

    rationals = [sympy.Rational(part.numerator, part.denominator) for part in reversed(coefficients)]
    _, whole = sympy.Poly(rationals, sympy.Symbol("x"), domain="QQ").clear_denoms(convert=True)
    return [int(part) for part in reversed(whole.sqf_part().all_coeffs())]


@dataclass(frozen=True)
class _Place:
    """A binary fraction, kept apart from Python's fractions because those look for common factors at every step."""

    units: int
    """How many units from zero."""

    bits: int
    """A unit is 1 / 2**bits."""

    def sign(self, whole: list[int]) -> int:
        """The sign of a polynomial here."""
        total = 0
        for steps, part in enumerate(reversed(whole)):
            total = total * self.units + (part << (self.bits * steps))
        return (total > 0) - (total < 0)

    def finer(self, bits: int) -> "_Place":
        """The same place in smaller units."""
        return _Place(self.units << (bits - self.bits), bits)


def _between_turns(whole: list[int], precision: int = RELATIVE_BITS) -> list[_Place]:
    """The roots of a polynomial without repeated factors; its turning points are the roots of its derivative."""
    if whole[0] == 0:
        # Halving comes ever closer to zero and need not meet it.
        while whole[0] == 0:
            whole = whole[1:]
        return sorted(
            [_Place(0, 0), *_between_turns(whole, precision)], key=lambda place: Fraction(place.units, 1 << place.bits)
        )
    if len(whole) == 1:
        return []
    turns = _between_turns([power * part for power, part in enumerate(whole)][1:], _TURN_BITS)
    # Cauchy's bound: all roots lie within.
    bound = 2 + max(abs(part) for part in whole) // abs(whole[-1])
    places = [_Place(-bound, 0), *turns, _Place(bound, 0)]
    found = []
    for low, high in pairwise(places):
        before, after = low.sign(whole), high.sign(whole)
        if after == 0:
            found.append(high)
        elif before * after < 0:
            found.append(_halved(whole, low, high, precision))
    return found


def _halved(whole: list[int], low: _Place, high: _Place, precision: int) -> _Place:
    """The root between two places of opposite signs."""
    bits = max(low.bits, high.bits)
    low, high = low.finer(bits), high.finer(bits)
    after = high.sign(whole)
    while high.units - low.units > max(abs(low.units), abs(high.units)) >> precision:
        middle = _Place(low.units + high.units, low.bits + 1)
        sign = middle.sign(whole)
        if sign == 0:
            return middle
        low, high = (low.finer(middle.bits), middle) if sign == after else (middle, high.finer(middle.bits))
    return high


def _plain(whole: list[int], place: _Place) -> Fraction:
    """The fraction with a short denominator that a root is, if it is one."""
    root = Fraction(place.units, 1 << place.bits)
    near = root.limit_denominator(_PLAIN_DENOMINATOR)
    return near if sum(part * near**power for power, part in enumerate(whole)) == 0 else root


def as_value(root: Fraction, digits: int) -> Any:
    """A root as a sympy number: exact when it is plain, a float of so many digits otherwise."""
    import sympy

    exact = sympy.Rational(root.numerator, root.denominator)
    return exact if root.denominator <= _PLAIN_DENOMINATOR else exact.evalf(digits)
