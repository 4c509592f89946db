"""``score``: mark recorded answers that nobody marked."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_atlas.cli.shared import common

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from langchain_atlas.evaluation.scoring.judging.calls import JudgePlan
    from langchain_atlas.evaluation.scoring.judging.judge import Judge, JudgeReport
    from langchain_atlas.evaluation.scoring.marking import ScoreReport
    from langchain_atlas.evaluation.scoring.references import References
    from langchain_atlas.outcomes import OutcomeTable

DataArgument = Annotated[
    Path,
    typer.Argument(
        help="Outcome table, .parquet or .jsonl, with responses; or a store, such as sqlite:///atlas.db.",
        parser=common.data_source,
        metavar="DATA",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Outcome table to write, .parquet or .jsonl. Marks of a store's answers go to the store; needs no --out.",
        callback=common.writable,
    ),
]
SampleOption = Annotated[
    float | None,
    typer.Option("--sample", help="Of a store: share of its decisions that is drawn, 0 to 1; 0.1 by default."),
]
ScorerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scorer",
        help="exact, numeric, contains, math, python_tests (by the expected answer), feedback, agreement; or JSON with "
        "settings. May be repeated: each marks what the ones before left.",
    ),
]
AnswersOption = Annotated[Path | None, typer.Option("--answers", help="Query file with expected answers, .jsonl.")]
AnswerColumnOption = Annotated[
    str | None,
    typer.Option("--answer-column", help="Column with expected answers; by default 'answer', if it is there."),
]
FeedbackOption = Annotated[str, typer.Option("--feedback-column", help="Column that the scorer 'feedback' reads.")]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", help="Lowest and highest number of feedback and people's marks, such as 1-5.")
]
JudgeOption = Annotated[
    str | None, typer.Option("--judge", help="LiteLLM id of a model that marks the rest; with --pool, a model of it.")
]
PoolOption = Annotated[Path | None, typer.Option("--pool", help="Pool whose model is the judge, .yaml.")]
RubricOption = Annotated[
    Path | None, typer.Option("--rubric", help="By what the judge marks each domain, .yaml or .json.")
]
ModeOption = Annotated[
    str, typer.Option("--judge-mode", help="mark: each answer; compare: with other answers to the query, both orders.")
]
TogetherOption = Annotated[int, typer.Option("--together", help="Answers to a query that are shown in one call.")]
MaxCostOption = Annotated[
    float | None, typer.Option("--max-cost", help="Make no call of the judge that could exceed this many dollars.")
]
HumanOption = Annotated[
    Path | None,
    typer.Option("--human", help="People's marks: query_id, pair (or model and tool), score; .csv, .jsonl, .parquet."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="File of the judge's replies; by default beside --out.", callback=common.writable),
]
RepeatOption = Annotated[
    bool, typer.Option("--repeat-failed", help="Ask the judge again where its reply was unreadable.")
]
AgainOption = Annotated[bool, typer.Option("--again", help="Mark answers again that have a score.")]
PlanOption = Annotated[
    bool, typer.Option("--plan", help="Show the judge's calls and their cost; call and write nothing.")
]


_SAMPLE = 0.1


def score(
    data: DataArgument,
    out: OutOption = None,
    scorer: ScorerOption = None,
    answers: AnswersOption = None,
    answer_column: AnswerColumnOption = None,
    feedback_column: FeedbackOption = "feedback",
    scale: ScaleOption = None,
    judge: JudgeOption = None,
    pool: PoolOption = None,
    rubric: RubricOption = None,
    judge_mode: ModeOption = "mark",
    together: TogetherOption = 1,
    max_cost: MaxCostOption = None,
    human: HumanOption = None,
    cache: CacheOption = None,
    repeat_failed: RepeatOption = False,
    again: AgainOption = False,
    sample: SampleOption = None,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Maximum number of the judge's calls at once.")] = 4,
    timeout: Annotated[float, typer.Option("--timeout", help="Maximum seconds of one call.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 0,
    plan: PlanOption = False,
    json: common.JsonOption = None,
) -> None:
    """Mark recorded answers that have no score; say where each score comes from and how sure it is.

    With --human, the errors of the judge (and of agreement and feedback) are measured, and rates are corrected by them.
    """
    from langchain_atlas.evaluation.scoring.marking import score_table
    from langchain_atlas.evaluation.scoring.people import read_human_marks

    sys.path.insert(0, str(Path.cwd()))  # a user's own scoring function is imported from there, as python itself does
    terminal = common.console()
    kept = _replies(data, out, cache)
    table, ends = _answers(data, sample, seed, terminal), _scale(scale)
    references = _references(table, answers, answer_column)
    marks = () if human is None else read_human_marks(human, ends)
    scorers = _scorers(scorer, table, references, feedback_column, alone=judge is None and not marks)
    judging = _judge(
        judge, pool, rubric, judge_mode,
        together=together, max_cost_usd=max_cost, cache=kept, repeat_failed=repeat_failed,
        concurrency=concurrency, timeout_s=timeout, seed=seed,
    )  # fmt: skip

    def planned(ahead: JudgePlan) -> bool:
        terminal.print(str(ahead), markup=False)
        return not plan

    with _stopping(kept), common.progress("judging") as bar:
        scored, report = score_table(
            table, scorers, references=references, judge=judging, human=marks, feedback=feedback_column, scale=ends,
            again=again, seed=seed, progress=bar, on_plan=planned,
        )  # fmt: skip
    if not plan:
        _say(report, references, kept, terminal)
        _write(data, out, table, scored, terminal)
    common.write_json(json, report.to_json())
    if report.judge is not None and report.judge.failed and report.judge.failed == report.judge.calls:
        raise typer.Exit(1)


def _replies(data: Path, out: Path | None, cache: Path | None) -> Path:
    """Return the file of the judge's replies.

    Raises:
        SettingError: a table is marked, and there is no file to write it to.
    """
    from langchain_atlas.errors import SettingError
    from langchain_atlas.outcomes.store_url import is_store_url

    if out is None and not is_store_url(data):
        raise SettingError("Where is the marked table to go? Give --out T2.parquet. (Only a store needs none.)")
    return cache or Path("atlas.judge.jsonl" if out is None else out.with_name(f"{out.name}.judge.jsonl"))


def _answers(data: Path, sample: float | None, seed: int, terminal: Console) -> OutcomeTable:
    """Return the outcomes to mark: a table, or a sample of a store."""
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.scoring.stored import sampled
    from langchain_atlas.outcomes import OutcomeTable
    from langchain_atlas.outcomes.store_url import is_store_url

    if not is_store_url(data):
        if sample is not None:
            raise SettingError(f"--sample is {sample:g}; only a store is sampled. A table is marked whole.")
        return OutcomeTable.load(data)
    from langchain_atlas.outcomes.store.loading import opened

    share = _SAMPLE if sample is None else sample
    with opened(str(data)) as store:
        table = sampled(store, share, seed=seed)
    left = table.table["score"].null_count
    terminal.print(f"Drawn: {len(table)} answers, a sample of {share:.0%}; {left} of them have no score.")
    return table


def _write(data: Path, out: Path | None, table: OutcomeTable, scored: OutcomeTable, terminal: Console) -> None:
    """Write the marked table, or the marks to the store that the answers are from."""
    from langchain_atlas.evaluation.scoring.stored import record_marks
    from langchain_atlas.outcomes.store_url import is_store_url

    if is_store_url(data):
        from langchain_atlas.outcomes.store.loading import opened

        with opened(str(data)) as store:
            count = record_marks(store, table, scored)
            terminal.print(f"{count} scores were recorded in {store!r}.", markup=False)
    if out is not None:
        scored.save(out)
        _say_written(out, terminal)


def _scorers(
    given: list[str] | None, table: OutcomeTable, references: References, feedback: str, *, alone: bool
) -> list[Any]:
    """Return the scorers to use: those given, or else the one that the table suggests, feedback, where it has any.

    Raises:
        SettingError: there are none, and nothing else that marks.
    """
    from langchain_atlas.evaluation.scoring.references import named_scorers

    scorers = named_scorers(given or (["feedback"] if feedback in table.table.column_names else []))
    if alone and not scorers and not any(one.scorer for one in references.by_query.values()):
        _refuse(references)
    return scorers


def _refuse(references: References) -> None:
    """Say that there is nothing to mark by.

    Raises:
        SettingError: always.
    """
    from langchain_atlas.errors import SettingError

    if references.by_query:
        raise SettingError(
            f"Expected answers are in {references.where}, but not how to compare with them; say --scorer exact, "
            "numeric, contains, math or python_tests."
        )
    raise SettingError(
        "There is nothing to mark by: no expected answers (a column 'answer', or --answers FILE with --scorer), no "
        "column 'feedback'. Give one, or --judge MODEL, or --human FILE, or --scorer agreement where several pairs "
        "answered."
    )


def _scale(text: str | None) -> tuple[float, float] | None:
    from langchain_atlas.errors import SettingError

    if text is None:
        return None
    import re

    found = re.fullmatch(r"\s*(-?[0-9.]+)\s*(?:-|\.\.|:|to|,)\s*(-?[0-9.]+)\s*", text)
    try:
        ends = None if found is None else (float(found[1]), float(found[2]))
    except ValueError:
        ends = None
    if ends is None or not ends[0] < ends[1]:
        raise SettingError(f"--scale is {text!r}; write the lowest and the highest number, such as 1-5.")
    return ends


def _references(table: OutcomeTable, answers: Path | None, column: str | None) -> References:
    from langchain_atlas.evaluation.scoring.references import read_references, references_in

    return references_in(table, column) if answers is None else read_references(answers, table)


def _judge(name: str | None, pool: Path | None, rubric: Path | None, mode: str, **settings: Any) -> Judge | None:
    """Return the judge; None if none is named.

    Raises:
        PoolError: the pool has no such model, or the name can't be one.
        SettingError: a setting is out of range.
    """
    from langchain_atlas.errors import SettingError
    from langchain_atlas.evaluation.scoring.judging.judge import Judge
    from langchain_atlas.evaluation.scoring.judging.rubrics import Rubrics
    from langchain_atlas.pool.pool import Model, Pool

    if name is None:
        if pool is not None or rubric is not None or settings["max_cost_usd"] is not None:
            raise SettingError("--pool, --rubric and --max-cost are a judge's; name it with --judge MODEL.")
        return None
    model = Model(name=name) if pool is None else Pool.load(pool).model(name)
    rubrics = None if rubric is None else Rubrics.load(rubric)
    return Judge(model, rubrics=rubrics, mode=mode, **settings)  # type: ignore[arg-type]  # it checks the mode itself


def _say_written(out: Path, terminal: Console) -> None:
    terminal.print(f"Written to {out}. Try:", markup=False)
    terminal.print(f"langchain-atlas doctor --data {quote(str(out))}", markup=False, soft_wrap=True)


def _say(report: ScoreReport, references: References, kept: Path, terminal: Console) -> None:
    """Print what was marked, by whom, and how far it can be believed."""
    by = ", ".join(f"{count} by {source}" for source, count in report.by_source.items())
    terminal.print(f"Marked {report.marked_now} of {report.rows} rows{f': {by}' if by else ''}.", markup=False)
    if references.by_query:
        terminal.print(f"Expected answers: {references.where}.", markup=False)
    for note in report.notes:
        terminal.print(note, markup=False)
    if report.unmarked:
        why = "; ".join(f"{count}: {reason}" for reason, count in report.unmarked_reasons.items())
        terminal.print(f"{report.unmarked} rows have no score ({why}).", markup=False)
    if report.judge is not None:
        _say_judge(report.judge, kept, terminal)
    for known in report.calibrations:
        shares = [
            f"{name} {share.value:.0%} ({100 * share.ci95[0]:.0f} to {100 * share.ci95[1]:.0f})"
            for name, share in (("sensitivity", known.sensitivity), ("specificity", known.specificity))
            if share is not None
        ]
        said = f"{known.source} beside people's marks of {known.n} answers"
        terminal.print(f"{said}: {', '.join(shares) or 'graded marks'}.", markup=False)
        if known.reason:
            terminal.print(f"Rates are not corrected: {known.reason}.", markup=False)
    for rate in report.rates:
        terminal.print(f"  {rate}", markup=False)


def _say_judge(judge: JudgeReport, kept: Path, terminal: Console) -> None:
    unknown = f", and {judge.unpriced} calls of unknown cost" if judge.unpriced else ""
    known = f" ({judge.cached} replies were known before)" if judge.cached else ""
    terminal.print(f"The judge made {judge.calls} calls{known} for ${judge.known_cost_usd:.4g}{unknown}.", markup=False)
    if judge.broken:
        terminal.print(
            f"{judge.broken} replies could not be read, and their answers are not marked; --repeat-failed asks again.",
            markup=False,
        )
    if judge.failed:
        terminal.print(f"{judge.failed} calls failed, the last with {judge.error}", markup=False)
    if judge.stopped:
        terminal.print(f"Stopped: {judge.stopped}. All replies so far are kept in {kept};", markup=False)
        terminal.print("the same command goes on from there.")


@contextmanager
def _stopping(kept: Path) -> Iterator[None]:
    """Report what is kept when the command is stopped."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Stopped. The judge's replies are kept in {kept}; the same command goes on from there.", err=True)
        raise
