"""A chat model that judges answers."""

from __future__ import annotations

import asyncio
import math
import os
import re
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.messages import HumanMessage
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langgraph.constants import TAG_NOSTREAM

from langchain_atlas.amounts import add_known
from langchain_atlas.costs.billing import billed
from langchain_atlas.errors import SettingError
from langchain_atlas.masking import error_text
from langchain_atlas.pool.parameters import taken
from langchain_atlas.text.json_objects import first_object
from langchain_atlas.text.thoughts import without_thoughts
from langchain_atlas.tools.ranking.base import AnswerScore, AnswerScorer, By, Scores, own_key, split_steps
from langchain_atlas.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

    from langchain_atlas.trajectory import Query

WHOLE_PROMPT = """Question:
{question}

Answer to judge:
{answer}

Is this answer right? Work it out for yourself before you trust it. Reply with one JSON object and nothing else: \
{"score": n}, with n from 0 (surely wrong) to 10 (surely right)."""
"""How an answer is judged as a whole."""

STEPS_PROMPT = """Question:
{question}

Solution to judge, step by step:
{answer}

Judge every step by itself: is it correct, given the question and the steps before it? Reply with one JSON object and \
nothing else: {"scores": [n, ...]}, one n a step, in order, from 0 (surely wrong) to 10 (surely right)."""
"""How the steps of an answer are judged."""

_TOP = 10
_MOST_PARALLEL = 8
_FREE: float | None = 0.0
_SCORE = {"type": "number", "minimum": 0, "maximum": _TOP}


class ChatJudge(AnswerScorer):
    """Asks a chat model to score every answer, in parallel.

    Args:
        model: LiteLLM's id of the judge, or a LangChain chat model.
        by: ``whole``, or ``steps`` for one score per step.
        prompt: the prompt; ``{question}`` and ``{answer}`` are filled in. By default `WHOLE_PROMPT` or `STEPS_PROMPT`.
        structured: send a JSON schema, for models that support structured output.
        options: parameters of `ChatLiteLLM`, such as ``temperature`` (0 when left out, where the model takes one)
            and ``api_base``.
        api_key_env: environment variable that holds the key, when it is not the provider's usual one.
        timeout_s: seconds that one judgement may take.

    Raises:
        SettingError: `by` is neither, the prompt lacks the answer, or the key's variable is not set.
    """

    def __init__(
        self,
        model: str | BaseChatModel,
        *,
        by: By = "whole",
        prompt: str | None = None,
        structured: bool = False,
        options: dict[str, Any] | None = None,
        api_key_env: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        if by not in get_args(By):
            raise SettingError(f"by is {by!r}; it must be 'whole' or 'steps'.")
        self.prompt = prompt or (WHOLE_PROMPT if by == "whole" else STEPS_PROMPT)
        if "{answer}" not in self.prompt:
            raise SettingError(
                f"The judge's prompt {self.prompt[:80]!r} must hold '{{answer}}', and may '{{question}}'."
            )
        self.by = by
        self.structured = structured
        self._model = model
        self._options = {"request_timeout": timeout_s, **(options or {})}
        self._key = api_key_env
        own_key(api_key_env)
        self._lock = threading.Lock()

    def score(self, query: Query, answers: Sequence[str]) -> Scores:
        """Ask the judge about all answers, in threads."""
        judge = self._judge()

        def ask(prompt: str) -> AIMessage | Exception:
            try:
                return judge.invoke([HumanMessage(prompt)])
            except Exception as error:  # noqa: BLE001  # one judgement that fails does not spoil the others
                return error

        prompts = [self._prompt(query, answer) for answer in answers]
        with ContextThreadPoolExecutor(min(len(prompts), _MOST_PARALLEL)) as threads:
            return self._scores(answers, list(threads.map(ask, prompts)))

    async def ascore(self, query: Query, answers: Sequence[str]) -> Scores:
        """Ask the judge about all answers, on the event loop."""
        judge = await asyncio.to_thread(self._judge)
        free = asyncio.Semaphore(_MOST_PARALLEL)

        async def ask(answer: str) -> AIMessage | Exception:
            async with free:
                try:
                    return await judge.ainvoke([HumanMessage(self._prompt(query, answer))])
                except Exception as error:  # noqa: BLE001  # as above
                    return error

        return self._scores(answers, await asyncio.gather(*map(ask, answers)))

    def _prompt(self, query: Query, answer: str) -> str:
        question = query.full_text
        if self.by == "steps":
            answer = "\n".join(f"Step {number}: {step}" for number, step in enumerate(split_steps(answer), start=1))
        values = {"question": question, "answer": answer}
        return re.sub(r"\{(question|answer)\}", lambda match: values[match[1]], self.prompt)

    def _judge(self) -> Runnable[Any, AIMessage]:
        with self._lock:
            chat_model = self._model
            if isinstance(chat_model, str):
                os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # as `execution.chat_models` does
                steady = {} if "temperature" in self._options else {"temperature": 0}
                defaults = taken(chat_model, steady, given=self._options)
                made = {"model": chat_model, **own_key(self._key), **defaults, **self._options}
                chat_model = import_module("langchain_litellm").ChatLiteLLM(**made)
                self._model = chat_model
        # What a judge writes is no part of the answer: its tokens stay out of a graph's message stream.
        judge: Runnable[Any, AIMessage] = chat_model.with_config(tags=[TAG_NOSTREAM])
        if not self.structured:
            return judge
        fields = {"score": _SCORE} if self.by == "whole" else {"scores": {"type": "array", "items": _SCORE}}
        schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "judgement", "schema": schema, "strict": True}}
        return judge.bind(response_format=form)

    def _scores(self, answers: Sequence[str], replies: Sequence[AIMessage | Exception]) -> Scores:
        usage, cost = Usage(input_tokens=0, output_tokens=0), _FREE
        scored = []
        for answer, reply in zip(answers, replies, strict=True):
            if isinstance(reply, Exception):
                usage, cost = Usage(), None
                scored.append(AnswerScore(error=error_text(reply)))
                continue
            bill = billed(reply)
            usage, cost = usage + bill.usage, add_known(cost, bill.cost_usd)
            scored.append(read_judgement(str(reply.text), len(split_steps(answer)) if self.by == "steps" else None))
        return Scores(answers=tuple(scored), usage=usage, cost_usd=cost)


def read_judgement(text: str, steps: int | None = None) -> AnswerScore:
    """Read what a judge wrote.

    Args:
        text: the judge's text, which contains a JSON object.
        steps: number of steps to judge; None if the answer is judged as a whole.

    Returns:
        The score, from 0 to 1, or what is wrong with the judgement.
    """
    found = first_object(without_thoughts(text)) or {}
    if steps is None:
        score = _number(found.get("score"))
        return AnswerScore(score=score) if score is not None else AnswerScore(error=f"no score in {text[:80]!r}")
    given = found.get("scores")
    scores = [_number(value) for value in given] if isinstance(given, list) else []
    known = [score for score in scores if score is not None]
    if not known or len(known) < len(scores) or len(known) != steps:
        return AnswerScore(error=f"not {steps} scores in {text[:80]!r}")
    return AnswerScore.of_steps(known)


def _number(value: Any) -> float | None:
    """Return a number from 0 to 10 as one from 0 to 1; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value / _TOP if 0 <= value <= _TOP else None
