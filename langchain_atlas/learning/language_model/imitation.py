"""Transcripts to imitate: the oracle's, random ones, and those of another router's trajectories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from langchain_atlas.loop.turns import solve
from langchain_atlas.routers.prompted.conversation import PASS_ON
from langchain_atlas.routers.prompted.tags import Block, write_blocks

if TYPE_CHECKING:
    from langchain_atlas.learning.language_model.episodes import Environment, Episode
    from langchain_atlas.learning.language_model.tokens import ChatTokens, Tokens
    from langchain_atlas.pool.pool import Pair
    from langchain_atlas.routers.base import Router
    from langchain_atlas.trajectory import Trajectory

Demonstration = tuple[int, tuple[str, ...]]
"""A row of the environment's table, and the steps that a policy should write there."""

_FIRST = "Who is good at this kind of question?"
_AGAIN = "The result is in doubt; another one may know."
_LAST = "The result answers the question."


def demonstrate(pairs: Sequence[Pair], source: int) -> tuple[str, ...]:
    """Return the steps of an episode that calls some pairs, then gives the result of one of them.

    Args:
        pairs: the pairs to call, in order.
        source: number of the call whose result is the answer, from 0.
    """
    steps = [
        write_blocks([Block("think", _AGAIN if number else _FIRST), Block("search", f"{pair}: {PASS_ON}")])
        for number, pair in enumerate(pairs)
    ]
    return (*steps, write_blocks([Block("think", _LAST), Block("answer", f"result {source + 1}")]))


def oracle_transcripts(environment: Environment) -> list[Demonstration]:
    """Return an episode for each query that a pair solves: it calls the cheapest such pair, and gives its result."""
    found = []
    for row in range(len(environment)):
        episode = environment.start(row)
        best = environment.cheapest_right(row)
        if best is not None and best in episode.pairs:
            found.append((row, demonstrate([best], 0)))
    return found


def random_transcripts(environment: Environment, *, seed: int = 0) -> list[Demonstration]:
    """Return an episode for each query that calls a pair at random: it teaches the protocol, and no choice."""
    generator = np.random.default_rng(seed)
    return [
        (row, demonstrate([pairs[int(generator.integers(len(pairs)))]], 0))
        for row in range(len(environment))
        if (pairs := environment.start(row).pairs)
    ]


def router_transcripts(environment: Environment, router: Router) -> list[Demonstration]:
    """Return an episode for each query as a router plays it on the recorded outcomes, such as a compact policy."""
    found: list[Demonstration] = []
    for row in range(len(environment)):
        episode = environment.start(row)
        query = episode.query
        allowed = query.constraints.replace(pairs=frozenset(episode.pairs))
        played = solve(query.replace(constraints=allowed), router, environment.replay, max_turns=environment.turns)
        steps = _steps(played)
        if steps is not None:
            found.append((row, steps))
    return found


def _steps(played: Trajectory) -> tuple[str, ...] | None:
    """Return the steps of a trajectory; None if it gives no call's answer."""
    calls = [number for number, step in enumerate(played.steps) if step.observation is not None]
    source = played.steps[-1].decision.source
    if source is None or source not in calls:
        return None
    pairs = [seen.pair for seen in played.observations]
    return demonstrate(pairs, calls.index(source))


def to_tokens(environment: Environment, chat: ChatTokens, demonstration: Demonstration) -> Tokens:
    """Return a demonstration as token ids: what is to be imitated is marked, what the policy is told is not."""
    row, steps = demonstration
    episode: Episode = environment.start(row)
    tokens = chat.prompt(environment.messages(episode))
    for step in steps:
        tokens.wrote(chat.step(step))
        told = environment.step(episode, step)
        if told is None:
            break
        tokens.told(chat.reply(told))
    return tokens


Teacher = Callable[["Environment"], list[Demonstration]]
"""Makes demonstrations on an environment."""
