"""The real roots of a polynomial of fractions: told apart by Descartes' rule of signs, and enclosed by halving.

All signs are exact. python-flint's own isolation of complex roots takes half a minute, in one call that nothing can
interrupt, where two roots lie close together, as those of ``x^12 = 2*(10^45*x-1)^2``.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from flint import arb, ctx, fmpq, fmpq_poly

from langchain_atlas.tools.calculator.reals import Real, inexact, length, with_bits

_MOST_BITS = 1_200
"""Roots are not enclosed more closely: they are shown with 50 digits at most behind 200 before their point."""

_PLAIN_BITS = 220
_PLAIN_DENOMINATOR = 10**15
"""A root that agrees in so many bits with a fraction with no larger denominator is tried for being it."""


def real_roots(polynomial: fmpq_poly) -> list[Real]:
    """The distinct real roots in rising order, exact where they are fractions with a short denominator.

    Args:
        polynomial: of the first degree at least.

    Raises:
        InvalidInputError: when roots lie so close together that telling them apart takes too long.
    """
    single = polynomial // polynomial.gcd(polynomial.derivative())
    whole = single.numer()
    # Cauchy's bound: all roots lie within.
    bound = fmpq(2 + max(abs(part) for part in whole.coeffs()) // abs(whole.leading_coefficient()))
    weight = sum(length(fmpq(part)) + 1 for part in whole.coeffs())
    places = [place for ends in ((-bound, fmpq(0)), (fmpq(0), bound)) for place in _isolated(single, *ends)]
    if single(0) == 0:
        places.append((fmpq(0), fmpq(0)))
    return [_root(single, low, high, weight) for low, high in sorted(places)]


def _isolated(polynomial: fmpq_poly, low: fmpq, high: fmpq) -> Iterator[tuple[fmpq, fmpq]]:
    """Intervals between two places that hold one root each; where both ends are the same, it is the root."""
    waiting = [(low, high)]
    while waiting:
        low, high = waiting.pop()
        changes = with_bits(_PLAIN_BITS, _sign_changes, polynomial, low, high)
        if changes == 1:
            yield low, high
        if changes > 1:
            middle = (low + high) / 2
            if polynomial(middle) == 0:
                yield middle, middle
            waiting += [(low, middle), (middle, high)]


def _sign_changes(polynomial: fmpq_poly, low: fmpq, high: fmpq) -> int:
    """Descartes' bound on the roots between two places; if it is 0 or 1, there are as many."""
    between = polynomial(fmpq_poly([low, high - low]))
    turned = fmpq_poly(between.coeffs()[::-1])(fmpq_poly([1, 1]))
    return sum(a != b for a, b in pairwise(part > 0 for part in turned.coeffs() if part != 0))


def _root(polynomial: fmpq_poly, low: fmpq, high: fmpq, weight: float) -> Real:
    def enclosure() -> arb:
        nonlocal low, high
        low, high = _closer(polynomial, low, high, min(ctx.prec, _MOST_BITS))
        return arb(low).union(arb(high))

    with_bits(_PLAIN_BITS, enclosure)
    near = Fraction(int(low.p), int(low.q)).limit_denominator(_PLAIN_DENOMINATOR)
    exact = fmpq(near.numerator, near.denominator)
    return Real.of(exact) if polynomial(exact) == 0 else inexact(enclosure, weight=weight)


def _closer(polynomial: fmpq_poly, low: fmpq, high: fmpq, bits: int) -> tuple[fmpq, fmpq]:
    """The interval around a root, halved until it is smaller than its distance from zero by so many bits."""
    # An end that is a root belongs to a neighbour; just above it, the slope has the sign of the polynomial.
    falling = (polynomial(low) or polynomial.derivative()(low)) > 0
    while (high - low) * 2**bits > min(abs(low), abs(high)):
        middle = (low + high) / 2
        value = polynomial(middle)
        if value == 0:
            return middle, middle
        low, high = (middle, high) if (value > 0) == falling else (low, middle)
    return low, high
