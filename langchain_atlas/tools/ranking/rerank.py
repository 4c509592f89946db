"""Scores by a reranking service, through LiteLLM."""

from __future__ import annotations

import asyncio
import math
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_atlas.amounts import known_dollars
from langchain_atlas.failures.masked_errors import keys_masked
from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, Scores, own_key
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_atlas.trajectory import Query


class RerankScorer(AnswerScorer):
    """Scores answers by their relevance to the question, in one request for all of them.

    Relevance is not rightness: this tells answers that address the question from those that do not, and is cheap.

    Args:
        model: LiteLLM's id of the reranker, such as ``cohere/rerank-v3.5``.
        options: parameters of `litellm.rerank`, such as ``api_base``.
        api_key_env: environment variable that holds the key, when it is not the provider's usual one.
        timeout_s: seconds that the request may take.

    Raises:
        SettingError: the key's variable is not set.
    """

    def __init__(
        self,
        model: str,
        *,
        options: dict[str, Any] | None = None,
        api_key_env: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.model = model
        self._options = {"timeout": timeout_s, **(options or {})}
        self._key = api_key_env
        own_key(api_key_env)

    @keys_masked
    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Ask the reranker."""
        return _scores(_litellm().rerank(**self._request(query, answers)), len(answers))

    @keys_masked
    async def ascore(self, query: Query, answers: Sequence[str]) -> Scores:
        """Ask the reranker on the event loop."""
        litellm = await asyncio.to_thread(_litellm)
        return _scores(await litellm.arerank(**self._request(query, answers)), len(answers))

    def _request(self, query: Query, answers: Sequence[str]) -> dict[str, Any]:
        asked = {"model": self.model, "query": query.text, "documents": list(answers), "top_n": len(answers)}
        return {**asked, **own_key(self._key), **self._options}


def _litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # as `execution.chat_models` does
    return import_module("litellm")


def _scores(response: Any, count: int) -> Scores:
    scored = [AnswerScore(error="the reranker left it out")] * count
    for result in response.results or ():
        index, score = result["index"], result["relevance_score"]
        if 0 <= index < count and math.isfinite(score):
            scored[index] = AnswerScore(score=score)
    cost = known_dollars((getattr(response, "_hidden_params", None) or {}).get("response_cost"))
    # A reranker bills by search, not by token.
    return Scores(answers=tuple(scored), usage=Usage(input_tokens=0, output_tokens=0), cost_usd=cost)
