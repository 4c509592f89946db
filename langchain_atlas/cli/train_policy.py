"""``train --policy``: train a language model as the policy."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from langchain_atlas.learning.language_model.training import Teacher
    from langchain_atlas.outcomes import OutcomeTable

_IMITATION_STEPS = 60


def train_policy(
    table: OutcomeTable,
    model: str,
    out: Path,
    *,
    steps: int,
    step_tokens: int,
    imitate: str,
    pool: Path | None,
    seed: int,
    resume: bool,
    curves: Path | None,
    checkpoints: Path | None,
    figures: Path | None = None,
) -> None:
    """Train a language model on recorded outcomes, and save the router.

    Args:
        table: the outcomes.
        model: the base.
        out: folder of the router.
        steps: number of GRPO updates.
        step_tokens: maximum number of tokens of a step.
        imitate: what is imitated first.
        pool: file with the descriptions of the members.
        seed: seed of everything random.
        resume: whether to continue from the last checkpoint.
        curves: folder for ``curves.jsonl``.
        checkpoints: folder for the checkpoints.
        figures: JSON file for the settings and the learning curve.
    """
    from langchain_atlas.errors import SettingError
    from langchain_atlas.learning.language_model.config import LanguageModelConfig
    from langchain_atlas.learning.language_model.training import train_language_model
    from langchain_atlas.pool.pool import Pool

    if resume and checkpoints is None:
        raise SettingError("--resume continues from the last of --checkpoints; name that folder too.")
    imitated = 0 if imitate == "nothing" else _IMITATION_STEPS
    config = LanguageModelConfig(steps=steps, imitation_steps=imitated, max_step=step_tokens)
    teacher, members = _teacher(imitate), None if pool is None else Pool.load(pool)
    terminal = common.console()
    terminal.print(f"Training {model} on {len(table.query_ids)} queries, {len(table.pairs)} pairs.", markup=False)
    with tempfile.TemporaryDirectory() as scratch, common.progress("training") as bar:
        folder = checkpoints or curves or Path(scratch)
        settings: dict[str, Any] = {"config": config, "teacher": teacher, "pool": members, "seed": seed}
        router = train_language_model(table, model, folder=folder, resume=resume, progress=bar, **settings)
        written = _curves(folder, curves)
    if os.environ.get("RANK", "0") == "0":  # of several processes on several GPUs, one saves
        router.save(out)
        common.saved(terminal, out)
        learned = {"router": router.kind, "settings": dict(router.settings), "model": model, "seed": seed}
        common.write_json(figures, {**learned, "curve": [json.loads(line) for line in written]})


def _curves(folder: Path, wanted: Path | None) -> list[str]:
    """Return the lines of the learning curves, copied to where they are wanted."""
    written = folder / "curves.jsonl"
    if wanted is not None and wanted != folder:
        wanted.mkdir(parents=True, exist_ok=True)
        (wanted / "curves.jsonl").write_bytes(written.read_bytes())
    return written.read_text(encoding="utf-8").splitlines()


def _teacher(name: str) -> Teacher:
    """Return what makes the transcripts to imitate.

    Raises:
        ArtifactError: it is the name of a folder that is not a saved router.
    """
    from langchain_atlas.learning.language_model.imitation import (
        oracle_transcripts,
        random_transcripts,
        router_transcripts,
    )
    from langchain_atlas.routers.saved.artifact import load_with_settings

    known: dict[str, Teacher] = {
        "oracle": oracle_transcripts,
        "random": random_transcripts,
        "nothing": oracle_transcripts,
    }
    if name in known:
        return known[name]
    router = load_with_settings(name)
    return lambda environment: router_transcripts(environment, router)
