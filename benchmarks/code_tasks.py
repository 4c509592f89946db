"""Small programs to write, with two examples each, and results by which an answer is judged that nobody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_core.messages import AIMessage, HumanMessage

from langchain_atlas import Query
from langchain_atlas.answers.parsed import code_of
from langchain_atlas.tools.python.tool import run_unit_tests

if TYPE_CHECKING:
    from collections.abc import Mapping


class Task(NamedTuple):
    """A small function to write."""

    signature: str
    """Its name and parameters."""
    wanted: str
    """What it returns."""
    examples: Mapping[str, str]
    """Results by arguments, as the query shows them."""
    hidden: Mapping[str, str]
    """Results by arguments, by which an answer is judged."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.partition("(")[0]

    def query(self) -> Query:
        """Return it as a query, with two solved tasks before it."""
        shown = "\n".join(f">>> {self.name}({given})\n{result}" for given, result in self.examples.items())
        return Query(
            id=self.name, text=f"Write a Python function {self.signature}. {self.wanted}\n\n{shown}", history=SOLVED
        )

    def score(self, answer: str | None) -> float:
        """Return whether an answer's code gives all results, 0 or 1."""
        code = code_of(answer or "")
        every = {**self.examples, **self.hidden}
        tests = "\n".join(f"assert {self.name}({given}) == {result}" for given, result in every.items())
        return float(bool(code) and run_unit_tests(code, tests).succeeded)


SOLVED = (
    HumanMessage(
        "Write a Python function triple(n). Return three times a number.\n\n>>> triple(2)\n6\n>>> triple(0)\n0"
    ),
    AIMessage("def triple(n):\n    return n * 3"),
    HumanMessage(
        "Write a Python function longest(words). Return the longest of some words.\n\n>>> longest(['a', 'bcd'])\n'bcd'"
    ),
    AIMessage(
        "def longest(words):\n    best = words[0]\n    for word in words:\n        if len(word) > len(best):\n"
        "            best = word\n    return best"
    ),
)
"""Tasks and their answers, which show the models what an answer looks like."""

TASKS = (
    Task("double(n)", "Return twice a number.", {"3": "6", "0": "0"}, {"-2": "-4"}),
    Task("is_even(n)", "Return whether a whole number is even.", {"4": "True", "3": "False"}, {"0": "True"}),
    Task("last(items)", "Return the last item of a list.", {"[1, 2, 3]": "3", "['a']": "'a'"}, {"[5, 6]": "6"}),
    Task("reverse(text)", "Return a text backwards.", {"'abc'": "'cba'", "''": "''"}, {"'ab'": "'ba'"}),
    Task(
        "largest(numbers)", "Return the largest number of a list.", {"[1, 3, 2]": "3", "[5]": "5"}, {"[-1, -5]": "-1"}
    ),
    Task("vowels(text)", "Return how many vowels a text has.", {"'banana'": "3", "'xyz'": "0"}, {"'queue'": "4"}),
    Task("factorial(n)", "Return the factorial of a whole number.", {"3": "6", "0": "1"}, {"5": "120"}),
    Task("total(numbers)", "Return the sum of a list of numbers.", {"[1, 2, 3]": "6", "[]": "0"}, {"[4, -5]": "-1"}),
    Task(
        "palindrome(text)",
        "Return whether a text reads the same backwards.",
        {"'level'": "True", "'abc'": "False"},
        {"'noon'": "True"},
    ),
    Task(
        "first_word(text)",
        "Return the first word of a text.",
        {"'hello world'": "'hello'", "'one'": "'one'"},
        {"'a b c'": "'a'"},
    ),
    Task(
        "squares(numbers)",
        "Return a list with the square of each number.",
        {"[1, 2, 3]": "[1, 4, 9]", "[]": "[]"},
        {"[-2]": "[4]"},
    ),
    Task(
        "evens(numbers)",
        "Return a list of the even numbers of a list.",
        {"[1, 2, 3, 4]": "[2, 4]", "[1]": "[]"},
        {"[6, 5, 4]": "[6, 4]"},
    ),
    Task("count_words(text)", "Return how many words a text has.", {"'a b c'": "3", "''": "0"}, {"'hello world'": "2"}),
    Task("absolute(n)", "Return a number without its sign.", {"-3": "3", "4": "4"}, {"0": "0"}),
    Task(
        "unique(items)",
        "Return the items of a list without repeats, in order.",
        {"[1, 1, 2]": "[1, 2]", "[]": "[]"},
        {"[3, 1, 3]": "[3, 1]"},
    ),
    Task(
        "fizz(n)",
        "Return 'fizz' for a multiple of 3, else 'no'.",
        {"9": "'fizz'", "4": "'no'"},
        {"3": "'fizz'", "10": "'no'"},
    ),
    Task(
        "shout(text)",
        "Return a text in capitals, with '!' after it.",
        {"'hey'": "'HEY!'", "''": "'!'"},
        {"'a b'": "'A B!'"},
    ),
    Task(
        "smaller(a, b)", "Return the smaller of two numbers.", {"1, 2": "1", "5, 3": "3"}, {"-1, 0": "-1", "2, 2": "2"}
    ),
)
