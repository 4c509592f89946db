"""Ten tasks in the manner of HumanEval: a model's answers, fixed, run the same in both Python backends."""

from collections.abc import Iterator

import pytest

from langchain_atlas.tools.python.monty import MontySandbox
from langchain_atlas.tools.python.process import ProcessSandbox
from langchain_atlas.tools.python.sandbox import Sandbox
from langchain_atlas.tools.python.tool import run_unit_tests
from tests.tools.python.test_hostile_programs import WHY_NOT

TASKS = {
    "runs of equal letters": (
        (
            "Here you go:\n```python\ndef runs(text):\n    out = []\n    for c in text:\n"
            "        if out and out[-1][0] == c:\n            out[-1] = (c, out[-1][1] + 1)\n        else:\n"
            "            out.append((c, 1))\n    return out\n```"
        ),
        "assert runs('aab') == [('a', 2), ('b', 1)]\nassert runs('') == []",
        "def runs(text):\n    return [(c, text.count(c)) for c in sorted(set(text))]\n",
        "assert runs('aba') == [('a', 1), ('b', 1), ('a', 1)]",
    ),
    "balanced brackets": (
        (
            "def balanced(s):\n    pairs, stack = {')': '(', ']': '['}, []\n    for c in s:\n"
            "        if c in pairs:\n            if not stack or stack.pop() != pairs[c]:\n"
            "                return False\n"
            "        elif c in '([':\n            stack.append(c)\n    return not stack\n"
        ),
        "assert balanced('([])()')\nassert not balanced('([)]')\nassert not balanced('(')",
        "def balanced(s):\n    return s.count('(') == s.count(')')\n",
        "assert not balanced(')(')",
    ),
    "primes below": (
        (
            "def primes(n):\n    sieve = [True] * n\n    for i in range(2, int(n ** 0.5) + 1):\n        if sieve[i]:\n"
            "            for j in range(i * i, n, i):\n                sieve[j] = False\n"
            "    return [i for i in range(2, n) if sieve[i]]\n"
        ),
        "assert primes(20) == [2, 3, 5, 7, 11, 13, 17, 19]\nassert len(primes(10_000)) == 1229",
        "def primes(n):\n    return [i for i in range(2, n) if i % 2]\n",
        "assert primes(3) == [2]",
    ),
    "longest common subsequence": (
        (
            "from functools import lru_cache\n\ndef lcs(a, b):\n    @lru_cache(None)\n    def go(i, j):\n"
            "        if i == len(a) or j == len(b):\n            return ''\n        if a[i] == b[j]:\n"
            "            return a[i] + go(i + 1, j + 1)\n        return max(go(i + 1, j), go(i, j + 1), key=len)\n"
            "    return go(0, 0)\n"
        ),
        "assert lcs('banana', 'atana') == 'aana'\nassert lcs('', 'x') == ''",
        "def lcs(a, b):\n    return ''.join(c for c in a if c in b)\n",
        "assert lcs('ab', 'ba') in ('a', 'b')",
    ),
    "word count": (
        (
            "import re\nfrom collections import Counter\n\ndef top(text, n):\n"
            "    counts = Counter(re.findall(r'[a-z]+', text.lower()))\n"
            "    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:n]\n"
        ),
        "assert top('The cat. The dog; a cat!', 2) == [('cat', 2), ('the', 2)]",
        "def top(text, n):\n    return sorted(text.split())[:n]\n",
        "assert top('a a b', 1) == [('a', 2)]",
    ),
    "matrix spiral": (
        (
            "def spiral(m):\n    out = []\n    m = [list(row) for row in m]\n    while m:\n        out += m.pop(0)\n"
            "        m = [list(row) for row in zip(*m)][::-1]\n    return out\n"
        ),
        "assert spiral([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == [1, 2, 3, 6, 9, 8, 7, 4, 5]\nassert spiral([]) == []",
        "def spiral(m):\n    return sum(m, [])\n",
        "assert spiral([[1, 2], [3, 4]]) == [1, 2, 4, 3]",
    ),
    "roman numerals": (
        (
            "def roman(n):\n    table = [(1000, 'M'), (900, 'CM'), (500, 'D'), (400, 'CD'), (100, 'C'), (90, 'XC'),\n"
            "             (50, 'L'), (40, 'XL'), (10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')]\n    out = ''\n"
            "    for value, sign in table:\n        out += sign * (n // value)\n        n %= value\n    return out\n"
        ),
        "assert roman(1994) == 'MCMXCIV'\nassert roman(4) == 'IV'",
        "def roman(n):\n    return 'I' * n\n",
        "assert roman(4) == 'IV'",
    ),
    "days between": (
        (
            "from datetime import date\n\ndef days(a, b):\n"
            "    return abs((date(*map(int, b.split('-'))) - date(*map(int, a.split('-')))).days)\n"
        ),
        "assert days('2024-02-28', '2024-03-01') == 2\nassert days('2025-03-01', '2025-02-28') == 1",
        "def days(a, b):\n    return abs(int(b[-2:]) - int(a[-2:]))\n",
        "assert days('2024-02-28', '2024-03-01') == 2",
    ),
    "a small bank": (
        (
            "class Account:\n    def __init__(self, balance=0):\n        self.balance = balance\n"
            "    def draw(self, amount):\n        if amount > self.balance:\n"
            "            raise ValueError('not enough')\n"
            "        self.balance -= amount\n        return self.balance\n"
        ),
        (
            "a = Account(5)\nassert a.draw(3) == 2\ntry:\n    a.draw(3)\nexcept ValueError as e:\n"
            "    assert str(e) == 'not enough'\nelse:\n    assert False"
        ),
        (
            "class Account:\n    def __init__(self, balance=0):\n        self.balance = balance\n"
            "    def draw(self, amount):\n        self.balance -= amount\n        return self.balance\n"
        ),
        "try:\n    Account(1).draw(2)\nexcept ValueError:\n    pass\nelse:\n    assert False",
    ),
    "polish notation": (
        (
            "def calc(text):\n    stack = []\n    for part in text.split():\n"
            "        if part in '+-*':\n            b, a = stack.pop(), stack.pop()\n"
            "            stack.append({'+': lambda: a + b, '-': lambda: a - b, '*': lambda: a * b}[part]())\n"
            "        else:\n            stack.append(int(part))\n    return stack[0]\n"
        ),
        "assert calc('3 4 + 2 *') == 14\nassert calc('7 2 -') == 5",
        "def calc(text):\n    return sum(int(p) for p in text.split() if p.isdigit())\n",
        "assert calc('3 4 *') == 12",
    ),
}


@pytest.fixture(params=["monty", "process"], scope="module")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "process":
        if WHY_NOT is not None:
            pytest.skip(f"no isolation here: {WHY_NOT}")
        yield ProcessSandbox()
        return
    monty = MontySandbox(max_workers=1)
    yield monty
    monty.close()


@pytest.mark.parametrize("task", TASKS)
def test_right_answers_pass_and_wrong_ones_fail(sandbox: Sandbox, task: str) -> None:
    right, tests, wrong, telling = TASKS[task]
    assert run_unit_tests(right, f"{tests}\n{telling}", sandbox).error is None
    failed = run_unit_tests(wrong, telling, sandbox)
    assert (failed.snippet, failed.succeeded) == (1, False)


@pytest.mark.parametrize(
    "code",
    [
        "class A: pass\nclass B(A): pass",
        "def f(): yield 1",
        "import string",
        "import heapq",
        "import statistics",
        "from collections import OrderedDict",
        "x = 1\ndel x",
        "bytearray(3)",
    ],
)
def test_what_the_docs_say_monty_lacks(sandbox: Sandbox, code: str) -> None:
    execution = sandbox.run(code)
    assert execution.succeeded is isinstance(sandbox, ProcessSandbox)
    assert (execution.unsupported is None) is isinstance(sandbox, ProcessSandbox)
