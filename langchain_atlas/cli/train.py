"""``train``: learn a policy that can call several pairs, on recorded outcomes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from langchain_atlas.cli.shared import common, held_out, slim
from langchain_atlas.cli.shared.engine import EngineOption, RayAddressOption

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

    from langchain_atlas.encoders import Encoder
    from langchain_atlas.learning.recordings import Recordings
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.routers.held_out import HeldOutFigures
    from langchain_atlas.routers.operating import OperatingCurve
    from langchain_atlas.routers.policy.router import RLRouter

_SAVED = "The saved policy was trained without the queries kept aside; its memory holds the outcomes of all."

_Steps = Annotated[int, typer.Option("--steps", help="PPO or GRPO updates; 0 keeps the policy as it was before them.")]
_Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="Train this language model instead: a folder, a GGUF file, a model in the Hugging Face cache, or "
        "atlas-local/smollm2-135m. Needs the extra train-llm.",
    ),
]
_Imitate = Annotated[
    str,
    typer.Option(
        "--imitate",
        help="With --policy: what it imitates first: 'oracle', 'random', 'nothing', or the folder of a router.",
    ),
]
_StepTokens = Annotated[int, typer.Option("--step-tokens", help="With --policy: maximum number of tokens of a step.")]
_Resume = Annotated[bool, typer.Option("--resume", help="With --policy: continue from the last of --checkpoints.")]
_Encoder = Annotated[str | None, typer.Option("--encoder", help=common.ENCODER_HELP)]
_Cautious = Annotated[
    bool | None,
    typer.Option(
        "--cautious/--familiar",
        help="Expect queries unlike the recorded ones, or like them; by default decided by the number of domains.",
    ),
]
_Pool = Annotated[Path | None, typer.Option("--pool", help="Pool whose descriptions of its members are used, .yaml.")]
_Curves = Annotated[
    Path | None, typer.Option("--curves", help="Folder for the learning curves.", callback=common.writable_folder)
]
_Checkpoints = Annotated[
    Path | None,
    typer.Option("--checkpoints", help="Folder for a whole router every 50 steps.", callback=common.writable_folder),
]


def train(
    data: common.DataOption,
    out: common.RouterOut,
    steps: _Steps = 250,
    policy: _Policy = None,
    imitate: _Imitate = "oracle",
    step_tokens: _StepTokens = 512,
    resume: _Resume = False,
    pairs: common.PairsOption = None,
    domains: common.DomainsOption = None,
    encoder: _Encoder = None,
    cautious: _Cautious = None,
    pool: _Pool = None,
    curves: _Curves = None,
    checkpoints: _Checkpoints = None,
    hold_out: held_out.HoldOutOption = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    no_cache: common.NoCacheOption = False,
    json: common.JsonOption = None,
) -> None:
    """Train a router that compares answers and calls further pairs, and save it."""
    del no_cache, engine, ray_address  # their callbacks have seen to it
    slim.check_can_learn("train")
    if policy is not None:
        from langchain_atlas.cli.train_policy import train_policy

        train_policy(
            common.load_table(data, pairs, domains), policy, out, pool=pool, seed=seed, steps=steps,
            step_tokens=step_tokens, imitate=imitate, resume=resume, curves=curves, checkpoints=checkpoints,
            figures=json,
        )  # fmt: skip
        return
    from langchain_atlas.cli.shared.setting import say
    from langchain_atlas.encoders.named import encoder_named
    from langchain_atlas.learning.ppo import PPOConfig
    from langchain_atlas.learning.training import TrainingConfig, check
    from langchain_atlas.learning.training import train as learn

    held_out.check(hold_out)
    encoder_named(encoder).find()
    table = common.load_table(data, pairs, domains)
    descriptions = {} if pool is None else _descriptions(pool)
    terminal = common.console()
    _say_data(table, terminal)
    made = encoder_named(encoder, cache_size=max(10_000, 20 * len(table.query_ids)))
    check(table, seed, steps)
    config = TrainingConfig(ppo=PPOConfig(steps=steps), cautious=cautious)
    kept: dict[str, Any] = {"curves": curves, "checkpoints": checkpoints, "seed": seed, "config": config}
    learn_from = _with_progress(partial(learn, encoder=made, **kept))
    router, curve = _trained(learn_from, table, made, descriptions, share=hold_out, seed=seed)
    router.save(out)
    terminal.print(_manner(router.training))
    say(curve, router, {}, router.held_out)
    held_out.say(router.held_out, terminal, share=hold_out, saved=_SAVED)
    _say_cluster(router.held_out, terminal)
    common.saved(terminal, out)
    common.write_json(json, _figures(router, curve))


def _with_progress(learn: Callable[..., RLRouter]) -> Callable[[OutcomeTable, Recordings], RLRouter]:
    """Return what trains on a part of the table, with a progress bar."""

    def learn_from(part: OutcomeTable, recordings: Recordings) -> RLRouter:
        with common.progress("training") as bar:
            return learn(part, recordings=recordings, progress=bar)

    return learn_from


def _figures(router: RLRouter, curve: OperatingCurve | None) -> dict[str, Any]:
    held = router.held_out
    figures = {"router": router.kind, "settings": dict(router.settings), **router.training}
    figures["held_out"] = None if held is None else held.to_json()
    return {**figures, "curve": None if curve is None else curve.to_json()}


def _trained(
    learn: Callable[[OutcomeTable, Recordings], RLRouter],
    table: OutcomeTable,
    encoder: Encoder,
    descriptions: Mapping[str, str],
    *,
    share: float,
    seed: int,
) -> tuple[RLRouter, OperatingCurve | None]:
    """Train without a part of the queries, judge the router on that part, and have it remember the outcomes of all."""
    from langchain_atlas.evaluation.settings.holding_out import split
    from langchain_atlas.evaluation.settings.words import trade_of
    from langchain_atlas.learning.recordings import Recordings

    kept, aside = split(table, encoder, share=share, seed=seed)
    part = table.select(query_ids=kept) if aside else table
    recordings = Recordings.of(part, encoder, descriptions=descriptions)
    learned = learn(part, recordings)
    if not aside:
        return _set(learned, recordings, seed)
    fitted, measured = _set(learned, recordings, seed)
    recordings = Recordings.of(table, encoder, descriptions=descriptions, like=learned.featurizer)
    router, curve = _set(_remembering(learned, recordings, table), recordings, seed)
    if measured is None and curve is not None:  # the part alone is too small to choose a setting by
        fitted = learned.configure(cost_weight=0.0).configure(**curve.choice.settings)
    held = _judged(fitted, part, table.select(query_ids=aside), share=share, seed=seed)
    router.held_out = held.replace(settings=trade_of(router))
    return router, curve


def _set(router: RLRouter, recordings: Recordings, seed: int) -> tuple[RLRouter, OperatingCurve | None]:
    """Measure a trained router's settings, and return it at the chosen one."""
    from langchain_atlas.cli.shared.setting import set_as_measured
    from langchain_atlas.evaluation.settings.policy_trials import measure_policy

    with common.progress("measuring settings") as bar:
        curve = measure_policy(router, recordings, seed=seed, progress=bar)
    return cast("RLRouter", set_as_measured(router, curve, {}, _single(recordings))), curve


def _judged(router: RLRouter, part: OutcomeTable, aside: OutcomeTable, *, share: float, seed: int) -> HeldOutFigures:
    """Return what a router does on the queries kept aside, with a cluster router fitted on the same part beside it."""
    from langchain_atlas.evaluation.replay.benchmark import evaluate
    from langchain_atlas.evaluation.settings.holding_out import judged
    from langchain_atlas.routers.cluster.router import ClusterRouter
    from langchain_atlas.routers.utility.guard import most_accurate

    with common.progress("judging on the queries kept aside"):
        single = str(part.pairs[most_accurate(part.matrix("score"))])
        held = judged(router, aside, single=single, share=share, seed=seed)
        simple = ClusterRouter(router.encoder, random_state=seed).fit(part)
        accuracy = evaluate({"cluster": simple}, aside, n_bootstrap=1).routers["cluster"].accuracy
    return held.replace(cluster_accuracy=accuracy)


def _remembering(router: RLRouter, recordings: Recordings, table: OutcomeTable) -> RLRouter:
    """Return a trained router that remembers all outcomes, those of the queries kept aside included."""
    from langchain_atlas.routers.saved.fingerprints import fingerprints, united

    knowing = router.with_memory(recordings.featurizer)
    knowing.fitted_on = united(router.fitted_on, fingerprints(table.queries))
    return knowing


def _say_cluster(held: HeldOutFigures | None, terminal: Console) -> None:
    """Say so if a cluster router, which is fitted in seconds, does better on the queries kept aside."""
    if held is None or held.cluster_accuracy is None or held.cluster_accuracy <= held.accuracy:
        return
    terminal.print(
        f"A cluster router fitted on the same part does better on the queries kept aside: "
        f"{common.percent(held.cluster_accuracy)} against {common.percent(held.accuracy)}. Use 'fit', or record more "
        "queries before you train.",
        markup=False,
    )


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
