"""``emugraph reproduce``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emugraph.cli.output import code_of, fail, guarded, note, print_json, print_table
from emugraph.errors import InputError

if TYPE_CHECKING:
    from emugraph.reproduction.cells import Cell
    from emugraph.reproduction.run_cells import Status

FILTERS = "Only these cells"
RESULTS = Path("benchmarks/results")


@guarded
def reproduce(
    experiment: Annotated[
        list[str] | None,
        typer.Argument(
            help="table2, table3, larger, samplers, negatives, sensitivity, label-smoothing, masks or beyond. "
            "[default: table2 table3]",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Data set; may be repeated.", rich_help_panel=FILTERS)
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Model; may be repeated.", rich_help_panel=FILTERS)
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            help="emu, no-uls, no-mutation, neither, mixup or plain; may be repeated.",
            rich_help_panel=FILTERS,
        ),
    ] = None,
    dim: Annotated[
        list[int] | None, typer.Option("--dim", help="Dimension; may be repeated.", rich_help_panel=FILTERS)
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="Seed; may be repeated.", rich_help_panel=FILTERS)
    ] = None,
    sampler: Annotated[
        list[str] | None, typer.Option("--sampler", help="Sampler; may be repeated.", rich_help_panel=FILTERS)
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help="The file of results, one line a run. [default: benchmarks/results/paper.jsonl, or samplers.jsonl]",
            show_default=False,
        ),
    ] = None,
    report: Annotated[Path, typer.Option("--report", help="The report that is written.")] = Path("RESULTS.md"),
    list_: Annotated[bool, typer.Option("--list", help="List the cells and how they stand; run nothing.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Write the report; run nothing.")] = False,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Start no further cell after this time.", min=0)
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Keep the run folders in this folder. [default: remove them]", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the tables of the EMU paper anew, cell by cell, and write RESULTS.md.

    Cells that the file of results has are not run again, so that the command may be stopped and repeated at any time.

    Example: emugraph reproduce table2 --model distmult --seed 0
    """
    from emugraph.reproduction import experiments
    from emugraph.reproduction.cells import distinct, select
    from emugraph.reproduction.report import write_report
    from emugraph.reproduction.run_cells import status

    if list_ and report_only:
        raise InputError("give either --list or --report-only")
    chosen = experiments.build(experiment or experiments.DEFAULT)
    cells = select(
        distinct(cell for group in chosen for cell in group.cells),
        dataset=dataset or (),
        model=model or (),
        method=method or (),
        dim=dim or (),
        seed=seed or (),
        sampler=sampler or (),
    )
    files = [results] if results is not None else [RESULTS / name for name in experiments.FILES]
    written = {cell.key: results or RESULTS / group.file for group in reversed(chosen) for cell in group.cells}
    standing = status(cells, *files)
    if list_:
        _print_list(standing, json)
        return
    failed: list[str] = []
    interrupted: KeyboardInterrupt | None = None
    if not report_only:
        _say_what_is_open(standing)
        try:
            started = time.monotonic()
            for file in dict.fromkeys(written[entry.cell.key] for entry in standing):
                cells_of_file = [entry.cell for entry in standing if written[entry.cell.key] == file]
                left = None if minutes is None else max(0.0, minutes - (time.monotonic() - started) / 60)
                failed += _run(cells_of_file, file, files, left, keep, device)
        except KeyboardInterrupt as error:
            interrupted = error
        standing = status(cells, *files)
    write_report(report, experiments.build(), files)
    states = _count(standing)
    if json and not interrupted:
        print_json({"results": [str(file) for file in files], "report": str(report), **states, "failed": failed})
    note(f"report: {report}")
    if interrupted:
        fail(f"interrupted; {_done(states)} and stay; the same command goes on from there", code_of(interrupted))
    if failed:
        words = "1 cell failed and stays" if len(failed) == 1 else f"{len(failed)} cells failed and stay"
        fail(f"{words} open; the same command tries again", 1)
    if states["open"] and not report_only:
        note(f"{_done(states)}; the same command goes on from there")


def _run(
    cells: list[Cell], results: Path, others: list[Path], minutes: float | None, keep: Path | None, device: str
) -> list[str]:
    """Run the open cells with progress; returns the titles of those that failed."""
    from emugraph.cli.progress import TrainingProgress, prepare
    from emugraph.reproduction.run_cells import run_cells

    prepare()
    progress = TrainingProgress(name_folder=False)
    failed = []
    try:
        for outcome in run_cells(
            cells, results, others=others, minutes=minutes, keep=keep, device=device, callbacks=[progress]
        ):
            progress.close()
            note(str(outcome))
            if outcome.error is not None:
                failed.append(outcome.cell.title)
    finally:
        progress.close()
    return failed


def _say_what_is_open(standing: list[Status]) -> None:
    states = _count(standing)
    without = f"; there is no preset for {states['no_preset']} more" if states["no_preset"] else ""
    note(f"{_done(states)}{without}")


def _print_list(standing: list[Status], json: bool) -> None:
    if json:
        print_json({**_count(standing), "cells": [_described(entry) for entry in standing]})
        return
    rows = [
        [entry.cell.title, entry.state, "" if entry.result is None else f"{entry.result.mrr:.4f}"] for entry in standing
    ]
    print_table("cells, in the order in which they are run", ["cell", "state", "test MRR"], rows)
    _say_what_is_open(standing)


def _described(entry: Status) -> dict[str, Any]:
    cell, result = entry.cell, entry.result
    return {
        "dataset": cell.dataset,
        "model": cell.model,
        "sampler": cell.sampler,
        "method": cell.method,
        "dim": cell.dim,
        "seed": cell.seed,
        "changes": dict(cell.changes),
        "state": entry.state,
        "result": None if result is None else result.model_dump(mode="json", by_alias=True),
    }


def _count(standing: list[Status]) -> dict[str, int]:
    states = [entry.state for entry in standing]
    return {"done": states.count("done"), "open": states.count("open"), "no_preset": states.count("no preset")}


def _done(states: dict[str, int]) -> str:
    return f"{states['done']} of {states['done'] + states['open']} cells are done"
