"""``train``: learn a policy that can call several pairs, on recorded outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from langchain_atlas.cli import common

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.policy.router import RLRouter


def train(
    data: common.DataOption,
    out: common.RouterOut,
    steps: Annotated[
        int, typer.Option("--steps", help="PPO or GRPO updates; 0 keeps the policy as it was before them.")
    ] = 250,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help="Train this language model instead: a folder, a GGUF file, a model in the Hugging Face cache, or "
            "atlas-local/smollm2-135m. Needs the extra train-llm.",
        ),
    ] = None,
    imitate: Annotated[
        str,
        typer.Option(
            "--imitate",
            help="With --policy: what it imitates first: 'oracle', 'random', 'nothing', or the folder of a router.",
        ),
    ] = "oracle",
    step_tokens: Annotated[
        int, typer.Option("--step-tokens", help="With --policy: maximum number of tokens of a step.")
    ] = 512,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --policy: continue from the last of --checkpoints.")
    ] = False,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="sentence-transformers model, by name or folder.")
    ] = None,
    cautious: Annotated[
        bool | None,
        typer.Option(
            "--cautious/--familiar",
            help="Expect queries unlike the recorded ones, or like them; by default decided by the number of domains.",
        ),
    ] = None,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Pool whose descriptions of its members are used, .yaml.")
    ] = None,
    curves: Annotated[
        Path | None, typer.Option("--curves", help="Folder for the learning curves.", callback=common.writable_folder)
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            "--checkpoints", help="Folder for a whole router every 50 steps.", callback=common.writable_folder
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    json: common.JsonOption = None,
) -> None:
    """Train a router that compares answers and calls further pairs, and save it."""
    if policy is not None:
        from langchain_atlas.cli.train_policy import train_policy

        table = common.load_table(data, pairs, domains)
        settings: dict[str, Any] = {"steps": steps, "step_tokens": step_tokens, "imitate": imitate, "resume": resume}
        train_policy(table, policy, out, pool=pool, seed=seed, curves=curves, checkpoints=checkpoints, **settings)
        return
    from langchain_atlas.cli.setting import say, set_as_measured
    from langchain_atlas.encoders import DEFAULT_ENCODER, SentenceTransformerEncoder
    from langchain_atlas.evaluation.settings.policy_trials import measure_policy
    from langchain_atlas.learning.ppo import PPOConfig
    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.learning.training import TrainingConfig, check
    from langchain_atlas.learning.training import train as learn

    SentenceTransformerEncoder(encoder or DEFAULT_ENCODER).find()
    table = common.load_table(data, pairs, domains)
    descriptions = {} if pool is None else _descriptions(pool)
    terminal = common.console()
    _say_data(table, terminal)
    made = SentenceTransformerEncoder(encoder or DEFAULT_ENCODER, cache_size=max(10_000, 20 * len(table.query_ids)))
    check(table, seed, steps)
    recordings = Recordings.of(table, made, descriptions=descriptions)
    config = TrainingConfig(ppo=PPOConfig(steps=steps), cautious=cautious)
    folders: dict[str, Any] = {"curves": curves, "checkpoints": checkpoints}
    with common.progress("training") as bar:
        router = learn(table, made, config=config, seed=seed, recordings=recordings, progress=bar, **folders)
    with common.progress("measuring settings") as bar:
        curve = measure_policy(router, recordings, seed=seed, progress=bar)
    router = cast("RLRouter", set_as_measured(router, curve, {}, _single(recordings)))
    router.save(out)
    terminal.print(_manner(router.training))
    say(curve, router, {})
    common.saved(terminal, out)
    figures = {"router": router.kind, "settings": dict(router.settings), **router.training}
    common.write_json(json, {**figures, "curve": None if curve is None else curve.to_json()})


def _say_data(table: OutcomeTable, terminal: Console) -> None:
    """Print what is trained on, and what that can't teach."""
    terminal.print(f"Training on {len(table)} outcomes: {len(table.query_ids)} queries, {len(table.pairs)} pairs.")
    if table.table["response"].null_count == len(table):
        terminal.print(
            "Note: no response is recorded, so answers can't be compared, and a second call can't be worth its cost.",
            markup=False,
        )


def _single(recordings: Recordings) -> str:
    return str(recordings.memory.pairs[recordings.featurizer.default])


def _manner(told: Mapping[str, Any]) -> str:
    """Describe the queries that a policy expects."""
    expects = "cautious: it expects queries unlike" if told["cautious"] else "familiar: it expects queries like"
    return f"The policy is {expects} these ({told['domains']} domains)."


def _descriptions(pool: Path) -> dict[str, str]:
    """Return a pool's descriptions of its models and tools, by name."""
    from langchain_atlas.pool.pool import Pool

    members = Pool.load(pool)
    described = {model.name: model.description for model in members.models}
    return described | {tool.name: tool.description for tool in members.tools}
