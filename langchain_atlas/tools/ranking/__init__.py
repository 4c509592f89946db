"""Ranking: which of several answers to one question is best, by steps or as a whole."""

from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, Scores, split_steps
from langchain_atlas.tools.ranking.building import SCORERS, build_ranking
from langchain_atlas.tools.ranking.function import FunctionAnswerScorer
from langchain_atlas.tools.ranking.judge import ChatJudge
from langchain_atlas.tools.ranking.rerank import RerankScorer
from langchain_atlas.tools.ranking.reward_model import RewardModel
from langchain_atlas.tools.ranking.tool import RankingTool
from langchain_atlas.tools.ranking.vote import Vote

__all__ = [
    "SCORERS",
    "AnswerScore",
    "AnswerScorer",
    "ChatJudge",
    "FunctionAnswerScorer",
    "RankingTool",
    "RerankScorer",
    "RewardModel",
    "Scores",
    "Vote",
    "build_ranking",
    "split_steps",
]
