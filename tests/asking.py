"""Outcomes for tests of the policy that asks again."""

from recorded import row

from langchain_atlas.outcomes import OutcomeTable

COSTS = {"cheap@@none": 0.001, "small@@calculator": 0.002, "other@@calculator": 0.002, "large@@none": 0.02}
"""Dollars a call of each pair."""

_EVERY = {"cheap@@none": 2, "small@@calculator": 4, "other@@calculator": 5, "large@@none": 11}
"""Each pair is wrong on every so-manieth sum."""


def sums(count: int = 40, domains: int = 2) -> OutcomeTable:
    """Make outcomes of four pairs on sums; they are wrong on different ones, and then each in its own way."""
    rows = []
    for number in range(count):
        right = 3 * number + 7
        for place, (pair, every) in enumerate(_EVERY.items()):
            wrong = number % every == every - 1
            rows.append(
                row(
                    f"q{number}",
                    pair,
                    float(not wrong),
                    COSTS[pair],
                    query=f"What is {number} plus {2 * number + 7}?",
                    domain=f"domain {number % domains}",
                    latency_s=0.5,
                    response=str(right + 100 + place if wrong else right),
                    input_tokens=10,
                    output_tokens=5,
                )
            )
    return OutcomeTable.from_rows(rows, "the sums")


def letters_or_numbers(count: int = 60) -> OutcomeTable:
    """Make outcomes of two pairs, equally good overall: one is right where a text has numbers, one elsewhere."""
    rows = []
    for number in range(count):
        numeric = number % 2 == 0
        for pair, fits, cost in (("counter@@none", numeric, 0.01), ("speller@@none", not numeric, 0.02)):
            rows.append(
                row(
                    f"q{number}",
                    pair,
                    float(fits),
                    cost,
                    query=f"{number} {number + 1} {number + 2} {number + 3}"
                    if numeric
                    else f"spell word {'x' * number}",
                    domain=f"domain {number % 3}",
                    latency_s=0.5,
                    response=f"{pair} says {'yes' if fits else 'no'} to {number}",
                )
            )
    return OutcomeTable.from_rows(rows, "letters or numbers")
