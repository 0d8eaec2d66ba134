"""Where the time of a training run went, and how much memory it held."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from emugraph.runs.callbacks import Callback

if TYPE_CHECKING:
    from emugraph.runs.callbacks import FinishedRun
    from emugraph.training.trainer import Trainer


@dataclass(frozen=True)
class PartOfRun:
    """What one part of a run took.

    Args:
        name: what was done.
        seconds: in sum.
        share: of the whole run, 0 to 1.
        calls: how often it was done.
    """

    name: str
    seconds: float
    share: float
    calls: int


class Profile(Callback):
    """A callback that measures the parts of each step, validations, and what is written.

    On a CUDA device it waits at the end of each part for what the part has started, so that a profiled run is slower
    there than another.

    ::

        profile = emugraph.Profile()
        emugraph.train(kg, callbacks=[profile])
        print(profile.parts, profile.peak_memory)
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """By part."""
        self.calls: dict[str, int] = {}
        self.total = 0.0
        """Seconds from the first step to the end."""
        self.peak_memory: dict[str, int] = {}
        """Bytes that the process held at most, on "cpu" (everything, from its start), and on a CUDA device."""
        self._device = torch.device("cpu")
        self._started = 0.0

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Count the time of the block towards a part."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
            self.calls[name] = self.calls.get(name, 0) + 1

    def on_start(self, trainer: Trainer, path: Path) -> None:
        self._device = trainer.device
        trainer.section = self.section
        self._wait()
        self._started = time.perf_counter()

    def on_end(self, run: FinishedRun) -> None:
        self._wait()
        self.total = time.perf_counter() - self._started
        self.peak_memory["cpu"] = peak_memory()
        if self._device.type == "cuda":
            self.peak_memory[str(self._device)] = torch.cuda.max_memory_allocated(self._device)

    @property
    def parts(self) -> list[PartOfRun]:
        """All parts in the order in which they first came, and "other", what is in none of them."""
        total = max(self.total, sum(self.seconds.values()), 1e-9)
        parts = [PartOfRun(name, took, took / total, self.calls[name]) for name, took in self.seconds.items()]
        other = total - sum(self.seconds.values())
        return [*parts, PartOfRun("other", other, other / total, 1)]

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def peak_memory() -> int:
    """Bytes that this process has held in memory at most, files that are mapped into it included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
