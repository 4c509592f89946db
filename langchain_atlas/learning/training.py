"""Training the RL router: read the outcomes, pretrain, improve by PPO, keep the memory."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch

from langchain_atlas.encoders import SentenceTransformerEncoder
from langchain_atlas.errors import OutcomeError, SettingError
from langchain_atlas.files import writing
from langchain_atlas.learning.compact_policy import CompactPolicy
from langchain_atlas.learning.ppo import PPOConfig, improve
from langchain_atlas.learning.pretraining import PretrainingConfig, pretrain
from langchain_atlas.learning.recordings import Recordings, held_out_statistics
from langchain_atlas.progress import Progress, Steps
from langchain_atlas.routers.policy.network import PolicyConfig
from langchain_atlas.routers.policy.router import RLRouter
from langchain_atlas.routers.saved.fingerprints import fingerprints, united
from langchain_atlas.routers.utility.unpaired import is_unpaired

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from langchain_atlas.answers import Agreement
    from langchain_atlas.encoders import Encoder
    from langchain_atlas.outcomes import OutcomeTable


FEW_DOMAINS = 6
"""With fewer domains than this in the table, queries of other domains are expected: the policy is cautious."""

FEWEST_QUERIES = 20
"""Minimum number of recorded queries for training."""

CHECKPOINT_EVERY = 50
"""Number of PPO updates between two checkpoints."""

CURVES = "curves.jsonl"
"""File name of the training statistics, one line per step."""

_PAUSE = 10


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of training."""

    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    """Settings of pretraining."""
    ppo: PPOConfig = field(default_factory=PPOConfig)
    """Settings of PPO."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """The network; its `cautious` is overridden by the setting below."""
    cautious: bool | None = None
    """Whether to expect queries unlike the recorded ones; None decides by the number of domains, see `FEW_DOMAINS`.
    With a single tool the policy is cautious only if this is True."""


def train(
    table: OutcomeTable,
    encoder: Encoder | None = None,
    *,
    config: TrainingConfig | None = None,
    seed: int = 0,
    agreement: Agreement | None = None,
    descriptions: Mapping[str, str] | None = None,
    recordings: Recordings | None = None,
    curves: Path | None = None,
    checkpoints: Path | None = None,
    progress: Progress | None = None,
) -> RLRouter:
    """Train an RL router on recorded outcomes.

    Args:
        table: the outcomes; without responses the policy can't compare answers, and one pair is mostly the best.
        encoder: embeds queries and descriptions.
        config: the settings of training.
        seed: seed of everything random.
        agreement: compares answers.
        descriptions: descriptions of models and tools, by name.
        recordings: the table as parsed by `Recordings.of`, if it already is.
        curves: folder for ``curves.jsonl``, a line a step (and TensorBoard's files where it is installed).
        checkpoints: folder for a whole router every `CHECKPOINT_EVERY` updates of PPO, as ``step-50``.
        progress: called with the number of updates done, and of all updates.

    Raises:
        OutcomeError: the table has no score, or too few queries.
        SettingError: `seed` or the number of steps is negative.
        WritingError: curves or checkpoints can't be written, for example because the disk is full.
    """
    config, encoder = config or TrainingConfig(), encoder or SentenceTransformerEncoder()
    check(table, seed, config.ppo.steps)
    if recordings is None:
        recordings = Recordings.of(table, encoder, agreement=agreement, descriptions=descriptions)
    domains = len(recordings.outcomes.domain_names)
    cautious = _expects_others(table, domains) if config.cautious is None else config.cautious
    familiar, strange = (0, 4) if cautious else (3, 1)
    held_out = held_out_statistics(recordings, seed=seed, n_familiar=familiar, n_strange=strange)
    torch.manual_seed(seed)
    policy = CompactPolicy(replace(config.policy, cautious=cautious))
    lesson = replace(config.pretraining, gain_steps=0) if cautious else config.pretraining
    count = Steps(lesson.belief_steps + lesson.gain_steps + config.ppo.steps, progress, every=_PAUSE)
    losses = pretrain(policy, recordings, held_out, lesson, seed=seed, on_step=count)
    router = RLRouter(policy, recordings.featurizer, encoder, agreement=agreement)
    router.fitted_on = united(fingerprints(table.queries))
    with _Curves(curves) as log:
        on_step = _on_step(router, policy, log, checkpoints, count)
        improve(policy, recordings, held_out, config.ppo, seed=seed, on_step=on_step)
    router = router.with_policy(policy)
    router.training = {
        "n_queries": len(recordings),
        "domains": domains,
        "cautious": cautious,
        "seed": seed,
        "lesson": losses,
        "last_step": log.last,
        "config": {"lesson": asdict(lesson), "ppo": asdict(config.ppo)},
    }
    return router


def _on_step(
    router: RLRouter, policy: CompactPolicy, log: _Curves, checkpoints: Path | None, count: Steps
) -> Callable[[int, dict[str, float]], None]:
    """Return what is done after each update: the curves are written, the router is kept, and progress is reported."""

    def on_step(step: int, statistics: dict[str, float]) -> None:
        log.write({"step": step, **statistics})
        _keep(router, policy, checkpoints, step + 1)
        count()

    return on_step


def _expects_others(table: OutcomeTable, domains: int) -> bool:
    """Return whether queries unlike the recorded ones are expected; never with a single tool."""
    return domains < FEW_DOMAINS and len({pair.tool for pair in table.pairs}) > 1


def _keep(router: RLRouter, policy: CompactPolicy, checkpoints: Path | None, done: int) -> None:
    """Save the router, if a checkpoint is due and wanted."""
    if checkpoints is not None and done % CHECKPOINT_EVERY == 0:
        with writing(checkpoints):
            checkpoints.mkdir(parents=True, exist_ok=True)
        router.with_policy(policy).save(checkpoints / f"step-{done}")


def check(table: OutcomeTable, seed: int, steps: int) -> None:
    """Check that a policy can be trained on a table.

    Raises:
        OutcomeError: there are too few queries, or most are recorded for one pair only.
        SettingError: `seed` or `steps` is negative.
    """
    if seed < 0 or steps < 0:
        raise SettingError(f"seed is {seed!r} and steps {steps!r}; both must be whole numbers from 0.")
    if len(table.query_ids) < FEWEST_QUERIES:
        raise OutcomeError(
            f"{table.source} has {len(table.query_ids)} queries; training needs at least {FEWEST_QUERIES}. Record more "
            "with 'profile', or fit a cluster router."
        )
    if is_unpaired(table.matrix("score")):
        raise OutcomeError(
            f"Most queries of {table.source} are recorded for one pair only; training compares the answers of several "
            "pairs to a query. Record several on some queries with 'profile', or use 'fit', which can learn from this."
        )


class _Curves:
    """Writes a line of statistics per step to ``curves.jsonl``, and to TensorBoard if it is installed."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: Any = None
        self._board: Any = None
        self.last: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._folder is not None:
            from importlib.util import find_spec

            with self._writing():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / CURVES).open("w", encoding="utf-8", buffering=1)  # line-buffered
                if find_spec("tensorboard") is not None:
                    from torch.utils.tensorboard import SummaryWriter

                    self._board = SummaryWriter(str(self._folder))
        return self

    def write(self, statistics: dict[str, float]) -> None:
        self.last = statistics
        with self._writing():
            if self._file is not None:
                self._file.write(json.dumps({name: round(value, 6) for name, value in statistics.items()}) + "\n")
            if self._board is not None:
                for name, value in statistics.items():
                    self._board.add_scalar(name, value, statistics["step"])

    def __exit__(self, kind: object, *error: object) -> None:
        for log in (self._file, self._board):
            if log is not None:
                with suppress(OSError) if kind is not None else self._writing():  # the first error is the one to raise
                    log.close()

    def _writing(self) -> AbstractContextManager[None]:
        return nullcontext() if self._folder is None else writing(self._folder / CURVES, "The steps before are there")
