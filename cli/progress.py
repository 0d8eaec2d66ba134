"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from emugraph import kernels
from emugraph.cli.output import note, stderr
from emugraph.runs.callbacks import Callback
from emugraph.system import keep_freed_memory

if TYPE_CHECKING:
    from torch import Tensor

    from emugraph.runs.callbacks import FinishedRun
    from emugraph.training.trainer import Trainer


def prepare() -> None:
    """Make the process ready to train: compile the kernels if they are not yet, and say so; keep memory at hand."""
    keep_freed_memory()
    compiled = kernels.prepare()
    if compiled is not None:
        note(f"compiled the kernels in {compiled:.1f} s; they are kept for the next time")


class TrainingProgress(Callback):
    """Shows loss, steps per second, time left and the last validation, of one run or of several in turn.

    Args:
        name_folder: tell the run's folder when a run starts.
    """

    def __init__(self, *, name_folder: bool = True) -> None:
        self._name_folder = name_folder
        self._valid = ""
        self._bar: Progress | None = None
        self._shown = 0.0
        self._started = 0.0
        self._first = 0

    def on_start(self, trainer: Trainer, path: Path) -> None:
        self.close()
        self._first, self._valid = trainer.step_count, ""
        if self._name_folder:
            note(f"run folder: {path}")
        if trainer.started_from is not None:
            counts = f"{trainer.started_from['entities']:,} of {trainer.kg.num_entities:,} entities"
            note(f"start from the given embeddings: {counts}, {trainer.started_from['relations']:,} relations")
        if trainer.step_count:
            note(f"going on after step {trainer.step_count:,}")
        self._started = self._shown = time.monotonic()
        if stderr.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[state]}"),
                console=stderr,
                transient=True,
            )
            self._bar.add_task(trainer.settings.model, total=trainer.settings.steps, speed="", state="")
            self._bar.start()

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        now = time.monotonic()
        if self._bar is None or now - self._shown < 0.5:
            return
        self._shown = now
        self._bar.update(
            self._bar.task_ids[0],
            completed=trainer.step_count,
            speed=f"{self._speed(trainer):.0f}/s",
            state=f"loss {loss.item():.4f}{self._valid}",
        )

    def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
        self._valid = f", valid MRR {metrics['mrr']:.4f}"
        if self._bar is None:
            left = (trainer.settings.steps - trainer.step_count) / max(1e-9, self._speed(trainer))
            note(
                f"step {trainer.step_count:,}/{trainer.settings.steps:,}: valid MRR {metrics['mrr']:.4f}, "
                f"Hits@10 {metrics['hits@10']:.4f}{' (best)' if best else ''}, "
                f"{self._speed(trainer):.0f} steps/s, {left:.0f} s left"
            )

    def on_end(self, run: FinishedRun) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _speed(self, trainer: Trainer) -> float:
        return (trainer.step_count - self._first) / max(1e-9, time.monotonic() - self._started)


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar over ``total`` items on a terminal; yields the function that advances it."""
    with Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A sign on a terminal that something is going on whose end cannot be told."""
    if not stderr.is_terminal:
        yield
        return
    with stderr.status(what):
        yield
