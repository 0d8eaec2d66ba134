"""The command ``emugraph``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from emugraph._version import __version__
from emugraph.cli import (
    analyze,
    datasets,
    evaluate,
    export,
    info,
    neighbors,
    output,
    predict,
    report,
    reproduce,
    resume,
    similar,
    train,
    tune,
)

app = typer.Typer(
    help="Link prediction on knowledge graphs with hard negatives by embedding mutation.\n\n"
    "Example: emugraph train wn18rr --model transe",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(train.train)
app.command("resume")(resume.resume)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(evaluate.compare)
app.command("predict")(predict.predict)
app.command("similar")(similar.similar)
app.command("export")(export.export)
app.command("report")(report.report)
app.add_typer(analyze.app, name="analyze")
app.add_typer(datasets.app, name="datasets")
app.add_typer(neighbors.app, name="neighbors")
app.command("reproduce")(reproduce.reproduce)
app.command("info")(info.info)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"emugraph {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    output.debug = debug


_OLD_OPTIONS = {"--mask-run": "--mask-group", "--questions": "--queries"}


def _with_current_name(argument: str) -> str:
    """An argument, by its new name and with a note where it is an option by its old one."""
    option, equals, value = argument.partition("=")
    new = _OLD_OPTIONS.get(option)
    if new is None:
        return argument
    output.note(f"{option} is now {new}; the old name goes with the next release")
    return f"{new}{equals}{value}"


def main() -> None:
    """Run the command line. ``--debug`` is taken anywhere on the line, not only before the command."""
    arguments = map(_with_current_name, sys.argv[1:])
    app(sorted(arguments, key=lambda argument: argument != "--debug"))


if __name__ == "__main__":
    main()
