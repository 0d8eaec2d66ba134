"""What all commands share in talking to the user: errors, tables, JSON."""

from __future__ import annotations

import functools
import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emugraph.errors import EmugraphError, InputError

if TYPE_CHECKING:
    from emugraph.runs.profiling import Profile
    from emugraph.runs.run import Run

debug = False
"""Whether errors show their traceback; set by the option ``--debug``."""

stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)  # no lines broken in a pipe or file
stderr = Console(stderr=True, highlight=False)


Command = TypeVar("Command", bound=Callable[..., None])


def guarded(command: Command) -> Command:
    """A command that ends with one sentence and the right exit code instead of a traceback."""

    @functools.wraps(command)
    def wrapper(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except typer.Exit:
            raise
        except KeyboardInterrupt as error:  # of training, it says how to go on
            fail(str(error) or "interrupted", code_of(error))
        except BrokenPipeError:
            raise typer.Exit(1) from None
        except EmugraphError as error:
            _show_traceback()
            fail(str(error), error.exit_code)
        except OSError as error:
            _show_traceback()
            fail(str(error), 1)
        except Exception as error:
            _show_traceback()
            fail(f"{type(error).__name__}: {error} (a defect in emugraph; --debug shows where)", 1)

    return wrapper  # type: ignore[return-value]


def _show_traceback() -> None:
    if debug:
        traceback.print_exc()


def code_of(interrupt: KeyboardInterrupt) -> int:
    """The exit code of a command that a signal ended, as shells count it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + int(getattr(interrupt, "number", signal.SIGINT))


def fail(message: str, exit_code: int) -> None:
    """Print one error line on standard error and leave."""
    stderr.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(exit_code)


def note(message: str) -> None:
    """Print a line about what is going on, on standard error."""
    stderr.print(escape(message), soft_wrap=True)


def check_output(path: Path | None, force: bool, *, folder: bool = False) -> None:
    """Raise InputError if a file, or a folder, is not to be written there: it exists, or there is the other kind."""
    if path is None:
        return
    if path.is_dir() and not folder:
        raise InputError(f"{path} is a folder; choose a file with --output")
    if path.exists() and not force:
        raise InputError(f"{path} already exists; choose another file with --output, or replace it with --force")


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(title: str, columns: list[str], rows: list[list[str]], texts: int = 1) -> None:
    """Print a table on standard output; with column names, all but the first ``texts`` columns are numbers, to the
    right."""
    stdout.print(_table(title, columns, rows, texts))


def _table(title: str, columns: list[str], rows: list[list[str]], texts: int) -> Table:
    table = Table(title=escape(title), title_justify="left", show_header=any(columns))
    for number, column in enumerate(columns):
        if number < texts or not any(columns):
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def print_metrics(title: str, metrics: dict[str, Any]) -> None:
    """Print ranking metrics as a table: both sides, each side, and other policies for ties where they are given."""
    names = ["mrr", "mean_rank", "hits@1", "hits@3", "hits@10"]
    rows = [["both sides" if "tail" in metrics else "relations", *_cells(metrics, names)]]
    for part, label in (("tail", "tails"), ("head", "heads"), ("optimistic", "optimistic ties"),
                        ("pessimistic", "pessimistic ties")):  # fmt: skip
        if part in metrics:
            rows.append([label, *_cells(metrics[part], names)])
    print_table(title, ["", "MRR", "mean rank", "Hits@1", "Hits@3", "Hits@10"], rows)


def print_run(run: Run, json: bool) -> None:
    """Print the final metrics of a run, as tables or as one JSON object."""
    if json:
        print_json({"run": str(run.path), "dataset": run.kg.name, "model": run.settings.model, **run.metrics})
        return
    for name, label in (("valid", "validation"), ("test", "test")):
        if name in run.metrics:
            title = f"{run.kg.name}, {label}, filtered, {run.metrics[name]['triples']:,} triples"
            print_metrics(title, run.metrics[name])
    note(f"best weights of step {run.metrics['best_step']:,}, {run.metrics['seconds']:.0f} s, in {run.path}")


def print_profile(profile: Profile, steps: int) -> None:
    """Print where the time of a run of so many steps went, as a table on standard error."""
    from emugraph.system import format_bytes

    rows = [
        [part.name, f"{part.seconds:.2f}", f"{part.share:.1%}", f"{1000 * part.seconds / steps:.3f}"]
        for part in profile.parts
    ]
    rows.append(["in all", f"{profile.total:.2f}", "100.0%", f"{1000 * profile.total / steps:.3f}"])
    stderr.print(_table("where the time went", ["part", "seconds", "share", "ms a step"], rows, 1))
    memory = ", ".join(f"{format_bytes(count)} on {device}" for device, count in profile.peak_memory.items())
    note(f"memory at most: {memory}")


def _cells(metrics: dict[str, float], names: list[str]) -> list[str]:
    return [f"{metrics[n]:,.1f}" if n == "mean_rank" else f"{metrics[n]:.4f}" for n in names]
