"""Rollouts: many episodes at once, played by a Hugging Face model."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_atlas.routers.prompted.hugging_face import write_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_atlas.learning.language_model.episodes import Environment, Episode
    from langchain_atlas.learning.language_model.tokens import ChatTokens, Tokens


@dataclass(frozen=True)
class Sampling:
    """How a policy writes."""

    temperature: float = 1.0
    """Temperature; 0 for the most likely token."""
    max_step: int = 512
    """Maximum number of tokens of a step."""
    max_completion: int = 3000
    """Maximum number of tokens of all steps and results of an episode (section 3 of the paper)."""
    max_observation: int = 2048
    """Maximum number of tokens of a result (section 3 of the paper)."""


@dataclass(frozen=True)
class EpisodeRollout:
    """A finished episode with its tokens."""

    episode: Episode
    """What happened."""
    tokens: Tokens
    """What was written."""


class Rollouts:
    """Plays episodes of an environment.

    Args:
        environment: the episodes.
        chat: conversations as tokens.
        sampling: how the policy writes.
    """

    def __init__(self, environment: Environment, chat: ChatTokens, sampling: Sampling) -> None:
        self.environment, self.chat, self.sampling = environment, chat, sampling

    def play(self, model: Any, rows: Sequence[int], *, greedy: bool = False) -> list[EpisodeRollout]:
        """Play an episode on each of some queries.

        Args:
            model: a causal language model.
            rows: rows of the queries; one that is named several times is played several times.
            greedy: whether to write the most likely token always.
        """
        episodes = [self.environment.start(row) for row in rows]
        tokens = [self.chat.prompt(self.environment.messages(episode)) for episode in episodes]
        with _generating(model):
            for _ in range(self.environment.turns + 1):
                going = [number for number, episode in enumerate(episodes) if not episode.done]
                if not going:
                    break
                written = self._write(model, [tokens[number].ids for number in going], greedy=greedy)
                for number, ids in zip(going, written, strict=True):
                    self._step(episodes[number], tokens[number], ids)
        return [EpisodeRollout(episode, spoken) for episode, spoken in zip(episodes, tokens, strict=True)]

    def _step(self, episode: Episode, tokens: Tokens, ids: list[int]) -> None:
        told = self.environment.step(episode, self.chat.text(ids))
        end = self.chat.tokenizer.eos_token_id
        if told is None:
            tokens.wrote(ids or [end])
            return
        tokens.wrote(ids[:-1] if ids[-1:] == [end] else ids)
        reply = self.chat.reply(told)
        if len(reply) > self.sampling.max_observation:
            characters = self.sampling.max_observation * len(told) // (2 * len(reply))
            reply = self.chat.reply(f"{told[:characters]}</information>")
        tokens.told(reply)
        if len(tokens.completion) >= self.sampling.max_completion:
            episode.done, episode.problem = True, f"All {self.sampling.max_completion} tokens are used."

    def _write(self, model: Any, contexts: Sequence[list[int]], *, greedy: bool) -> list[list[int]]:
        temperature = 0.0 if greedy else self.sampling.temperature
        return write_steps(
            model, self.chat.tokenizer, contexts, max_step=self.sampling.max_step, temperature=temperature
        )


@contextmanager
def _generating(model: Any) -> Iterator[None]:
    """Switch a model to generating, and back."""
    training, cached = model.training, model.config.use_cache
    model.eval()
    model.config.use_cache = True
    try:
        yield
    finally:
        model.train(training)
        model.config.use_cache = cached
