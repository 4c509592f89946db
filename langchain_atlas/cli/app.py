"""The commands, assembled. Only this module is imported to show the help, so it imports nothing heavy."""

from typing import Annotated

import typer

from langchain_atlas.cli import ask, demo, doctor, evaluate, fit, import_outcomes, profile, report, route, score, train

app = typer.Typer(
    name="langchain-atlas",
    help="Which model, with which tool, answers this query best, and at what cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from langchain_atlas.cli.versions import report

        typer.echo(report())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the versions for a bug report, and exit."
        ),
    ] = False,
) -> None:
    del version


app.command()(demo.demo)
app.command(name="import")(import_outcomes.import_outcomes)
app.command()(profile.profile)
app.command()(score.score)
app.command()(fit.fit)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(route.route)
app.command()(ask.ask)
app.command()(doctor.doctor)
app.command()(report.report)
