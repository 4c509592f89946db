"""When do two answers say the same? Function calls, numbers, choices, code, short and long texts.

If two independent pairs give the same answer, that is evidence that both are right; see ``docs/rl.md``.
"""

from langchain_atlas.answers.agreement import Agreement, AnswerAgreement
from langchain_atlas.answers.parsed import MARKS, ParsedAnswer, read_answer

__all__ = ["MARKS", "Agreement", "AnswerAgreement", "ParsedAnswer", "read_answer"]
