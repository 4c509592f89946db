"""When do two answers say the same? Function calls, numbers, choices, code, short and long texts.

If two independent pairs give the same answer, that is evidence that both are right; see ``docs/rl.md``.
"""

from langchain_atlas.agreement.base import Agreement, AnswerAgreement
from langchain_atlas.agreement.readings import MARKS, Reading, read_answer

__all__ = ["MARKS", "Agreement", "AnswerAgreement", "Reading", "read_answer"]
