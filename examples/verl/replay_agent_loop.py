"""The policy's episodes for verl: PPO or GRPO of a language model on a cluster, over replayed outcomes.

verl starts an `AgentLoop` for each prompt; this one lets the policy write a step, carries it out on recorded outcomes,
and masks what the policy is told. `play` holds all of it and needs no verl, so that it can be tested without a GPU.

    python examples/verl/make_prompts.py --data T.parquet --out prompts.parquet
    python -m verl.trainer.main_ppo --config-path "$PWD/examples/verl" --config-name ppo
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_atlas.learning.language_model.episodes import Environment, Episode
from langchain_atlas.learning.language_model.tokens import ChatTokens, Tokens
from langchain_atlas.outcomes import OutcomeTable
from langchain_atlas.pool.pairs import Pair
from langchain_atlas.routers.prompted.conversation import STOPS
from langchain_atlas.routers.prompted.tags import format_reward

try:
    from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register
except ImportError:  # the rest can be tested without it
    AgentLoopBase = None

Write = Callable[[list[int]], Awaitable[list[int]]]
"""Continues token ids by one step."""


@dataclass(frozen=True)
class Played:
    """A finished episode."""

    episode: Episode
    """What happened."""
    tokens: Tokens
    """What was written; `mask` is 1 where the policy wrote it."""
    reward: float
    """The sum of the reward's components."""


@cache
def environment(data: str) -> Environment:
    """Return the episodes of an outcome table; it is read once in a process."""
    return Environment.of(OutcomeTable.load(data))


async def play(episodes: Environment, chat: ChatTokens, row: int, write: Write) -> Played:
    """Play one episode.

    Args:
        episodes: the environment.
        chat: conversations as tokens.
        row: row of the query.
        write: continues token ids by one step, up to ``</search>`` or ``</answer>``.
    """
    episode = episodes.start(row)
    tokens = chat.prompt(episodes.messages(episode))
    while not episode.done:
        ids = await write(tokens.ids)
        told = episodes.step(episode, chat.text(ids))
        end = chat.tokenizer.eos_token_id
        if told is None:
            tokens.wrote(ids or [end])
        else:
            tokens.wrote(ids[:-1] if ids[-1:] == [end] else ids)
            tokens.told(chat.reply(told))
    return Played(episode, tokens, sum(episodes.components(episode).values()))


def compute_score(data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any]) -> float:
    """Return the format reward of a transcript: verl's reward function, for runs without the agent loop.

    Args:
        data_source: not used.
        solution_str: the transcript.
        ground_truth: not used.
        extra_info: holds ``pairs``, the written forms of the pairs that could be called.
    """
    del data_source, ground_truth
    return format_reward(solution_str, [Pair.parse(pair) for pair in extra_info["pairs"]])


if AgentLoopBase is not None:

    @register("langchain_atlas_replay")
    class ReplayAgentLoop(AgentLoopBase):  # type: ignore[misc]
        """An episode on recorded outcomes."""

        async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
            """Play the episode of a row of the prompts."""
            told, request = kwargs["extra_info"], uuid4().hex
            how = {**sampling_params, "stop": list(STOPS), "include_stop_str_in_output": True}

            async def write(ids: list[int]) -> list[int]:
                made = await self.server_manager.generate(request_id=request, prompt_ids=ids, sampling_params=how)
                return list(made.token_ids)

            chat = ChatTokens(self.tokenizer, max_prompt=self.rollout_config.prompt_length)
            played = await play(environment(told["data"]), chat, int(told["row"]), write)
            length = self.rollout_config.response_length
            return AgentLoopOutput(
                prompt_ids=played.tokens.prompt,
                response_ids=played.tokens.completion[:length],
                response_mask=played.tokens.mask[:length],
                reward_score=played.reward,
                num_turns=2 * len(played.episode.trajectory.steps),
                metrics=AgentLoopMetrics(),
            )
