"""Fuzz the calculator with atheris (libFuzzer): any text gives an answer or the one error, and soon.

    pip install atheris
    python benchmarks/fuzz_calculator.py -max_total_time=60

Arguments are libFuzzer's. Half of the inputs are put together from pieces of expressions, half are text as it comes.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["langchain_atlas.tools"]):
    from langchain_atlas.errors import InvalidInputError
    from langchain_atlas.tools.calculator import digits, equations, evaluate  # noqa: F401 -- else imported at first use

LONGEST_S = 5.0
"""Seconds after which an answer counts as a hang; the calculator gives up after three."""

PIECES = (
    *"0123456789.,+-*/^%!()=? xy",
    *("**", "//", "pi", "e", "1e5", "1,000", "sqrt(", "log(", "sin(", "exp(", "round(", "tan(", "floor(", "max("),
    *(
        "mod",
        "of",
        "root(",
        "binomial(",
        "10^300",
        "\u00b2",
        "\u221a",
        "\u00d7",
        "(1/3)",
        "solve ",
        "Eq(",
        "x^12",
        "x^2",
    ),
    *(
        " to 2 decimals",
        " to 5 significant digits",
        " to the nearest tenth",
        "factorial(",
        "9^9",
        "for x",
        "atan(",
        "gcd(",
    ),
    *("sinh(", "tanh(", "acos(", "lcm(", "perm(", "10^3999", "10^-3999", "10^-70", "pi/2", "(1+10^-99)^", "0.9", ")-1"),
)


def one_input(data: bytes) -> None:
    """Compute what the bytes say."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        length = provider.ConsumeIntInRange(0, 40)
        text = "".join(PIECES[provider.ConsumeIntInRange(0, len(PIECES) - 1)] for _ in range(length))
    else:
        text = provider.ConsumeUnicode(200)
    started = time.perf_counter()
    try:
        answer = evaluate(text)
    except InvalidInputError:
        answer = ""
    if time.perf_counter() - started > LONGEST_S:
        raise TimeoutError(f"{text!r} took {time.perf_counter() - started:.1f} s")
    if len(answer) > 60_000:  # noqa: PLR2004 -- twelve roots of 4,000 digits
        raise ValueError(f"{text!r} has an answer of {len(answer)} characters")


if __name__ == "__main__":
    evaluate("sin(sqrt(2)) to 3 decimals")  # what is imported at first use
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
