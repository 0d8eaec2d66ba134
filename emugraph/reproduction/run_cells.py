"""Running cells that have no result yet."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emugraph._version import __version__
from emugraph.data.graph import KnowledgeGraph
from emugraph.datasets.loading import load_dataset
from emugraph.errors import EmugraphError
from emugraph.reproduction.cells import Cell, distinct, in_running_order
from emugraph.reproduction.results import Result, append_result, by_run, read_results
from emugraph.runs.callbacks import Callback
from emugraph.runs.run import Run, train
from emugraph.system import choose_device, machine

State = Literal["done", "open", "no preset"]


@dataclass(frozen=True)
class Status:
    """A cell, how it stands, and its result if it is done."""

    cell: Cell
    state: State
    result: Result | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a cell that was run: a result, or the error that ended it.

    ``number`` of ``total`` cells with a preset have been done or tried by now.
    """

    cell: Cell
    number: int
    total: int
    result: Result | None = None
    error: EmugraphError | None = None

    def __str__(self) -> str:
        place = f"{self.number}/{self.total} {self.cell.title}"
        if self.result is None:
            return f"{place}: failed: {self.error}"
        return f"{place}: MRR {self.result.mrr:.4f} in {self.result.seconds:.0f} s"


def status(cells: Iterable[Cell], *results: Path) -> list[Status]:
    """How each cell stands, in the order in which they are run.

    A cell is done exactly when one of the files of results has a line for its data set with the cell's full settings; a
    preset that changed opens its cells again.

    Raises:
        InputError: a file of results is damaged.
    """
    done = by_run(result for file in results for result in read_results(file))
    listed = []
    for cell in in_running_order(distinct(cells)):
        result = None if cell.key is None else done.get(cell.key)
        listed.append(Status(cell, "no preset" if cell.key is None else "done" if result else "open", result))
    return listed


def run_cells(
    cells: Iterable[Cell],
    results: Path,
    *,
    others: Sequence[Path] = (),
    minutes: float | None = None,
    keep: Path | None = None,
    device: str = "auto",
    callbacks: Iterable[Callback] = (),
    load: Callable[[str], KnowledgeGraph] = load_dataset,
) -> Iterator[Outcome]:
    """Train the open cells, one after the other, and add each result to the file as soon as it is there.

    What is written stays, whenever the loop is left; the same call goes on from there. A cell whose training fails
    stays open, and the next one is tried.

    Args:
        cells: what to run; what is done already, or has no preset, is passed over.
        results: the file of results.
        others: further files of results, in which cells may be done.
        minutes: start no further cell after this time.
        keep: keep the run folders here; None to remove each once it is measured.
        device: "auto", "cpu" or "cuda".
        callbacks: look in on each training run.
        load: gives a data set by name.

    Yields:
        What became of each cell that was run.

    Raises:
        InputError: the file of results is damaged, or a data set or the device is unknown.
        EmugraphError: a data set cannot be had, or a result cannot be written.
    """
    choose_device(device)  # a mistake in it would fail every cell
    callbacks = tuple(callbacks)
    started = time.monotonic()
    known = [entry for entry in status(cells, results, *others) if entry.state != "no preset"]
    waiting = [entry.cell for entry in known if entry.state == "open"]
    number = len(known) - len(waiting)
    graphs: dict[str, KnowledgeGraph] = {}
    for cell in waiting:
        if minutes is not None and time.monotonic() - started >= 60 * minutes:
            return
        if cell.dataset not in graphs:
            graphs[cell.dataset] = load(cell.dataset)
        number += 1
        try:
            result = _measure(cell, graphs[cell.dataset], keep, device, callbacks)
        except EmugraphError as error:
            yield Outcome(cell, number, len(known), error=error)
            continue
        append_result(results, result)
        yield Outcome(cell, number, len(known), result=result)


def _measure(cell: Cell, kg: KnowledgeGraph, keep: Path | None, device: str, callbacks: tuple[Callback, ...]) -> Result:
    """Train a cell in a folder of its own and take down its metrics."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    # Within the folder where it may stay, so that only whole runs get a name there.
    with tempfile.TemporaryDirectory(prefix=".emugraph-", dir=keep) as temporary:
        run = train(kg, output=Path(temporary) / "run", settings=cell.settings, device=device, callbacks=callbacks)
        result = describe_run(cell, run)
        if keep is not None:
            shutil.move(run.path, _free_name(keep, cell))
    return result


def describe_run(cell: Cell, run: Run) -> Result:
    """The result of a cell's finished run.

    Raises:
        EmugraphError: the data set has no test triples.
    """
    if "test" not in run.metrics:
        raise EmugraphError(f"{run.kg.name} has no test triples to measure on")
    test = run.metrics["test"]
    made_on = machine(run.device)
    threads = f"{made_on['threads']} thread{'' if made_on['threads'] == 1 else 's'}"
    words = f"{made_on['processor']}, {threads} of {made_on['cores']} cores"
    if run.device.type != "cpu":
        words = f"{made_on['device']}, {words}"
    return Result(
        dataset=cell.dataset,
        model=cell.model,
        sampler=cell.sampler,
        method=cell.method,
        dim=cell.dim,
        seed=cell.seed,
        steps=run.metrics["steps"],
        seconds=run.metrics["seconds"],
        mrr=test["mrr"],
        hits_at_1=test["hits@1"],
        hits_at_3=test["hits@3"],
        hits_at_10=test["hits@10"],
        valid_mrr=run.metrics["valid"]["mrr"] if "valid" in run.metrics else None,
        version=__version__,
        machine=words,
        settings=run.settings.model_dump(mode="json"),
    )


def _free_name(folder: Path, cell: Cell) -> Path:
    base = re.sub(r"[^\w.-]+", "-", cell.title.casefold()).strip(".-")[:150]
    path, number = folder / base, 2
    while path.exists():
        path, number = folder / f"{base}-{number}", number + 1
    return path
