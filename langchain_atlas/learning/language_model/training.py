"""From an outcome table and a base model to a router whose policy is the trained language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.learning.language_model.config import LanguageModelConfig
from langchain_atlas.learning.language_model.episodes import Environment
from langchain_atlas.learning.language_model.grpo import PolicyTrainer
from langchain_atlas.learning.language_model.imitation import Demonstration, oracle_transcripts
from langchain_atlas.learning.language_model.models import trained_weights
from langchain_atlas.routers.prompted.describing import describe_pairs, joined, pool_descriptions
from langchain_atlas.routers.prompted.hugging_face import load_causal_model
from langchain_atlas.routers.prompted.router import PromptedRouter
from langchain_atlas.routers.saved.fingerprints import fingerprints, united

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.pool.pool import Pair, Pool
    from langchain_atlas.progress import Progress

Teacher = Callable[[Environment], Sequence[Demonstration]]
"""Makes the transcripts to imitate: `oracle_transcripts`, `random_transcripts`, or `router_transcripts` of a router."""

OBSERVATION_CHARS = 1000
"""Maximum number of characters of a result that the policy sees."""
_CHARS_A_TOKEN = 2
"""So few characters have a token at the most, so that a shortened question leaves room for the rest of the prompt."""
FEWEST_QUERIES = 2
"""Minimum number of queries to train on."""


def train_language_model(
    table: OutcomeTable,
    model: str,
    *,
    folder: str | Path,
    config: LanguageModelConfig | None = None,
    teacher: Teacher = oracle_transcripts,
    pool: Pool | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress | None = None,
) -> PromptedRouter:
    """Train a language model as the policy on recorded outcomes: imitate transcripts, then improve by GRPO.

    Args:
        table: the outcomes.
        model: the base: a folder, a GGUF file, a model in the Hugging Face cache, or ``atlas-local/`` with an embedded
            model.
        folder: for the curves (``curves.jsonl``) and the checkpoints.
        config: the settings.
        teacher: makes the transcripts to imitate.
        pool: what its members are good at, in words; the pairs are those of the table.
        seed: seed of everything random.
        resume: continue from the last checkpoint in `folder` instead of starting anew.
        progress: called with the number of updates done, and of all updates.

    Returns:
        The router; saved, it holds what was trained and the name of the base.

    Raises:
        MissingExtraError: the extra `train-llm` is not installed.
        InvalidInputError: the base can't be loaded.
        OutcomeError: the table has too few queries.
        SettingError: a setting does not fit the others, or there is nothing to imitate.
    """
    config = config or LanguageModelConfig()
    if seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be 0 or more.")
    if len(table.query_ids) < FEWEST_QUERIES:
        raise OutcomeError(f"{table.source} has {len(table.query_ids)} queries; training needs {FEWEST_QUERIES}.")
    described = descriptions(table, pool)
    shown: dict[str, Any] = {
        "observation_chars": OBSERVATION_CHARS,
        "question_chars": _CHARS_A_TOKEN * config.max_prompt,
    }
    environment = Environment(table, described, rewards=config.rewards, **shown)
    base, tokenizer = load_causal_model(model, config.dtype)
    trainer = PolicyTrainer(base, tokenizer, environment, config, folder=folder, seed=seed, progress=progress)
    if config.imitation_steps and not resume:
        trainer.imitate(teacher(environment))
    if config.steps:
        trainer.improve(resume=resume)
    router = PromptedRouter(trained_weights(trainer.model, model, config), described, **shown)
    router.fitted_on = united(fingerprints(table.queries))
    return router


def descriptions(table: OutcomeTable, pool: Pool | None) -> dict[Pair, str]:
    """Return what a policy is told of every pair of a table: what the pool says of it, and its outcomes."""
    measured = describe_pairs(table, domains=0)
    if pool is None:
        return measured
    told = pool_descriptions(pool)
    return joined({pair: told.get(pair, "") for pair in measured}, measured)
