"""Logs in which each question went to one of two models, for tests of what is estimated from them."""

import numpy as np

from langchain_atlas.outcomes import OutcomeTable

PEOPLE = ("ada", "byron")
_WORDS = ("autumn", "river", "mountain", "love", "winter", "silence", "cat", "sea", "train", "lantern", "bread", "rain")
_MATHS = ("What is {} plus {} ?", "Compute {} times {} .", "Solve the equation {} x = {} .", "Divide {} by {} .")
_POEMS = (
    "Write a poem on {} and {} .",
    "A haiku on {} in {} .",
    "Compose a verse where {} meets {} .",
    "Rhyme {} {} .",
)


def two_poets(
    seed: int,
    *,
    count: int = 600,
    first: float = 0.5,
    noted: bool = False,
    never: tuple[str, str] | None = None,
) -> OutcomeTable:
    """Draw a log: maths and poems by turns, each question asked of one of two models.

    The first is right on 95% of the maths and on 5% of the poems, the second the reverse. So either is right on half of
    all, and the better one of each on 95%.

    Args:
        seed: seed of the draw.
        count: number of questions.
        first: probability that the first model is asked.
        noted: whether the log has that probability.
        never: a model and a domain on which it is never asked.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        maths = number % 2 == 0
        words = draw.integers(2, 99, 2) if maths else draw.choice(_WORDS, 2)
        domain = "maths" if maths else "poems"
        asked = 0 if draw.random() < first else 1
        if never == (PEOPLE[asked], domain):
            asked = 1 - asked
        good = (asked == 0) == maths
        row = {
            "query_id": f"q{number}",
            "query": (_MATHS if maths else _POEMS)[draw.integers(4)].format(*words),
            "domain": domain,
            "model": PEOPLE[asked],
            "tool": "none",
            "score": float(draw.random() < (0.95 if good else 0.05)),
            "cost_usd": 0.001,
        }
        rows.append(row | ({"propensity": first if asked == 0 else 1 - first} if noted else {}))
    return OutcomeTable.from_rows(rows)
