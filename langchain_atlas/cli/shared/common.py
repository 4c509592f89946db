"""Shared parts of the commands: options, tables on the terminal, progress, JSON files."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.progress import Progress
    from langchain_atlas.trajectory import Candidate, Decision


def writable(path: Path | None) -> Path | None:
    """Return a file, after checking that it can be written: before the work, not after it.

    Raises:
        WritingError: it can't be written.
    """
    from langchain_atlas.files import check_file

    if path is not None:
        check_file(path)
    return path


def writable_folder(path: Path | None) -> Path | None:
    """Return a folder, after checking that it can be written.

    Raises:
        WritingError: it can't be written.
    """
    from langchain_atlas.files import check_folder

    if path is not None:
        check_folder(path.resolve())
    return path


def readable_router(spec: str | list[str]) -> str | list[str]:
    """Return a saved router's name with its settings, after checking that they can be read.

    Raises:
        ArtifactError: there is no saved router.
        SettingError: a setting can't be read.
    """
    with loading():
        from langchain_atlas.routers.saved.artifact import read_spec

    for one in [spec] if isinstance(spec, str) else spec:
        read_spec(one)
    return spec


def writable_router(path: Path) -> Path:
    """Return a folder to save a router to, after checking that it can be saved there.

    Raises:
        ArtifactError: it contains other files.
        SettingError: settings follow it, which is only valid where a router is read.
        WritingError: it can't be written.
    """
    from langchain_atlas.errors import SettingError
    from langchain_atlas.routers.saved.artifact import check_target

    if "?" in path.name:
        raise SettingError(
            f"--out is {str(path)!r}: settings follow a router where it is read, not where it is saved. Give its "
            "setting with --cost-weight, --value, --target or --budget."
        )
    check_target(path)
    return path


def keep_vectors(context: typer.Context, off: bool) -> bool:
    """Have the command's encoders keep the vectors of texts on disk, unless that is turned off."""
    from langchain_atlas.encoders.cache import keeping_vectors

    if not off:
        context.with_resource(keeping_vectors())
    return off


@contextmanager
def loading() -> Iterator[None]:
    """Don't look for garbage within: loading libraries makes none, and looking takes a sixth of a short command."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def data_source(text: str) -> Any:
    """Return the address of a store as it is, and the name of a file as a path: a path would lose a slash."""
    return text if "://" in str(text) else Path(text)


RouterOut = Annotated[Path, typer.Option("--out", help="Folder to save the router to.", callback=writable_router)]
ENCODER_HELP = "sentence-transformers model, by name or folder; static:FOLDER for a model2vec model."
DATA_HELP = "Outcome table, .parquet or .jsonl, or a store, such as sqlite:///atlas.db."
DataOption = Annotated[Path, typer.Option("--data", help=DATA_HELP, parser=data_source, metavar="PATH")]
PairsOption = Annotated[Path | None, typer.Option("--pairs", help="File with one model@@tool per line: the pool.")]
DomainsOption = Annotated[str | None, typer.Option("--domains", help="Domains to use, separated by commas.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.", callback=writable)]
RepriceOption = Annotated[
    Path | None,
    typer.Option("--reprice", help="Pool, .yaml: costs are those that the recorded tokens have by its prices."),
]
PricesOption = Annotated[
    str | None,
    typer.Option("--prices", help="With --reprice: LiteLLM's table of prices, a file, or 'latest' to have it fetched."),
]
NoCacheOption = Annotated[
    bool,
    typer.Option(
        "--no-cache", help="Encode all texts again; read and write no vectors on disk.", callback=keep_vectors
    ),
]
RouterOption = Annotated[
    str, typer.Option("--router", help="Saved router, as DIR or DIR?alpha=0.2&...", callback=readable_router)
]
RoutersOption = Annotated[
    list[str],
    typer.Option(
        "--router", help="Saved router, as DIR or DIR?alpha=0.2&...; may be repeated.", callback=readable_router
    ),
]
PoolOption = Annotated[Path, typer.Option("--pool", help="Pool of models and tools, .yaml.")]


def console() -> Console:
    """Return the terminal to print to."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def load_table(
    data: Path, pairs: Path | None, domains: str | None, *, unmarked: bool = False, as_log: bool = False
) -> OutcomeTable:
    """Load the outcomes that the options select, and say how many of them have no score and are left out.

    Args:
        data: the outcome table.
        pairs: file of the pairs to keep.
        domains: the domains to keep, separated by commas.
        unmarked: keep the outcomes without a score, for a command that reports on them itself.
        as_log: of a store, take the first decisions, each as a query of its own.

    Raises:
        InvalidInputError: a file, a pair or a domain is wrong, or no outcome has a score.
    """
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.store_url import is_store_url
    from langchain_atlas.pool.pool import read_pairs

    table = _stored(str(data)) if as_log and is_store_url(data) else OutcomeTable.load(data)
    wanted = named_domains(domains)
    if pairs is not None or wanted is not None:
        table = table.select(pairs=None if pairs is None else read_pairs(pairs), domains=wanted)
    return table if unmarked else _marked(table)


def _stored(url: str) -> OutcomeTable:
    from langchain_atlas.evaluation.logged.stored import stored_log
    from langchain_atlas.outcomes.store.loading import opened

    with opened(url) as store:
        return stored_log(store)


def named_domains(domains: str | None) -> list[str] | None:
    """Return the names in the option ``--domains``; None if it is left out.

    Raises:
        SettingError: it names none.
    """
    from langchain_atlas.errors import SettingError

    wanted = None if domains is None else [name.strip() for name in domains.split(",") if name.strip()]
    if wanted == []:
        raise SettingError(
            f"--domains is {domains!r}, which names none. Write names with commas between, or leave it out."
        )
    return wanted


def _marked(table: OutcomeTable) -> OutcomeTable:
    """Return the outcomes with a score, and print how many have none."""
    kept = table.marked()
    if table.unmarked:
        console().print(
            f"Note: {table.unmarked} of {len(table)} outcomes have no score and are left out. "
            f"To mark them: langchain-atlas score {table.source} --out scored.parquet",
            markup=False,
            soft_wrap=True,
        )
    return kept


def write_json(path: Path | None, figures: Any) -> None:
    """Write figures to a file atomically; None writes nothing."""
    from langchain_atlas.files import write_text

    if path is not None:
        write_text(path, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def saved(terminal: Console, out: Path) -> None:
    """Print where a router was saved, and how to use it; the command is on one line, so that it can be copied."""
    terminal.print(f"Saved to {out}. Try:", markup=False)
    terminal.print(f'langchain-atlas route "your query" --router {quote(str(out))}', markup=False, soft_wrap=True)


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """Show a progress bar on a terminal, and nothing in a pipe.

    Args:
        label: the current activity.

    Yields:
        A function to call with how much is done and the total.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal, transient=True) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def percent(value: float | None) -> str:
    """Write a share as a percentage; ``?`` when unknown."""
    return "?" if value is None else f"{100 * value:.1f}%"


def dollars(value: float | None) -> str:
    """Write dollars per 1000 calls; ``unknown`` if not known."""
    return "unknown" if value is None else f"${1000 * value:.3g}"


def explain(decision: Decision, terminal: Console) -> None:
    """Print a decision with its evidence."""
    from rich.markup import escape
    from rich.padding import Padding

    terminal.print(f"[bold]{escape(str(decision.pair))}[/bold]  (rule: {decision.rule})")
    terminal.print(decision.reason, markup=False)
    for label, candidate in (("chosen", decision.chosen), ("runner-up", decision.runner_up)):
        if candidate is not None:
            terminal.print(f"  {label:10} {candidate.pair}", markup=False)
            terminal.print(Padding(_evidence(candidate), (0, 0, 0, 13)), style="dim")


def _evidence(candidate: Candidate) -> str:
    parts = [f"solves {percent(candidate.expected_success)}"]
    if candidate.interval is not None:
        parts[0] += f" (95% interval {percent(candidate.interval[0])} to {percent(candidate.interval[1])})"
    if candidate.evidence is not None:
        parts.append(f"{candidate.evidence} outcomes")
    parts.append(f"{dollars(candidate.expected_cost_usd)} / 1000")
    if candidate.utility is not None:
        parts.append(f"utility {candidate.utility:.3f}")
    return ", ".join(parts)
