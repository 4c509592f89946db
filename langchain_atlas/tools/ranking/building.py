"""From the arguments in a pool file to a ranking tool."""

from __future__ import annotations

import inspect
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import PoolError, suggest
from langchain_atlas.tools.ranking.base import AnswerScorer
from langchain_atlas.tools.ranking.function import FunctionAnswerScorer
from langchain_atlas.tools.ranking.judge import ChatJudge
from langchain_atlas.tools.ranking.rerank import RerankScorer
from langchain_atlas.tools.ranking.reward_model import RewardModel
from langchain_atlas.tools.ranking.tool import RankingTool
from langchain_atlas.tools.ranking.vote import Vote

if TYPE_CHECKING:
    from collections.abc import Mapping

SCORERS: Mapping[str, type[AnswerScorer]] = {
    "vote": Vote,
    "reward-model": RewardModel,
    "judge": ChatJudge,
    "rerank": RerankScorer,
}
"""The scorers that a pool file can name without a module."""


def build_ranking(scorer: str = "vote", **arguments: Any) -> RankingTool:
    """Build a ranking tool.

    Args:
        scorer: ``vote``, ``reward-model``, ``judge``, ``rerank``, or ``package.module:attribute``: a function of
            question and answer, an `AnswerScorer`, or a class or function that returns one. The module is imported, so
            it runs.
        **arguments: what the scorer is built with; for a function, ``by``.

    Raises:
        PoolError: nothing has that name, or the arguments do not fit it.
        SettingError: the value of an argument is out of range.
    """
    kind: Any = SCORERS.get(scorer) or _named(scorer)
    if isinstance(kind, AnswerScorer):
        return RankingTool(scorer=kind)
    if not (isinstance(kind, type) and issubclass(kind, AnswerScorer)):
        arguments = {"function": kind, **arguments}
        kind = FunctionAnswerScorer
    try:
        inspect.signature(kind).bind(**arguments)
    except TypeError as error:
        takes = ", ".join(repr(name) for name in inspect.signature(kind).parameters if name != "function")
        raise PoolError(f"the scorer {scorer!r}: {error}. It takes: {takes}.") from error
    return RankingTool(scorer=kind(**arguments))


def _named(scorer: str) -> Any:
    module, separator, attribute = scorer.partition(":")
    if not (separator and module and attribute):
        raise PoolError(
            f"there is no scorer {scorer!r}. {suggest(scorer, SCORERS)} Or name one of yours as "
            "'package.module:attribute'."
        )
    try:
        found = reduce(getattr, attribute.split("."), import_module(module))
    except (ImportError, AttributeError) as error:
        raise PoolError(f"can't find the scorer {scorer!r}: {error}") from error
    if not callable(found) and not isinstance(found, AnswerScorer):
        raise PoolError(f"the scorer {scorer!r} is {found!r}; it must be a Scorer or a function of question and answer")
    return found
