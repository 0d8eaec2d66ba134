"""What Adam costs in a training step: dense, and with rows that wait until they are read.

    python -m benchmarks.adam [--repeats 200] [--threads 2] [--json]

Per table: the look-up's backward pass and the step of PyTorch's fused Adam, against the same with sparse gradients and
``DeferredAdam``, its refresh before the look-up included. The forward pass is the same for both and not counted. Both
take a step in turn, each with new rows; the first steps, until rows have waited as long as they usually do, are left
out. Medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from emugraph import kernels
from emugraph.optimizers import DeferredAdam

TABLES = ((14_541, 100, 2_256), (14_541, 200, 3_000), (40_943, 200, 3_000))  # rows, width, ids a step


class Subject:
    """A table and its optimizer."""

    def __init__(self, rows: int, width: int, deferred: bool) -> None:
        self.table = nn.Parameter(torch.randn(rows, width))
        self.deferred = DeferredAdam([self.table]) if deferred else None
        self.optimizer = self.deferred or torch.optim.Adam([self.table], fused=True)

    def step(self, ids: Tensor, gradient: Tensor) -> float:
        """A step's milliseconds."""
        self.optimizer.zero_grad()
        started = time.perf_counter()
        if self.deferred is not None:
            self.deferred.refresh(self.table, ids)
        refreshed = time.perf_counter()
        rows = functional.embedding(ids, self.table, sparse=self.deferred is not None)
        looked_up = time.perf_counter()
        rows.backward(gradient)
        self.optimizer.step()
        return 1e3 * (time.perf_counter() - looked_up + refreshed - started)


def measure(rows: int, width: int, ids: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of a step, by optimizer."""
    torch.manual_seed(0)
    subjects = {"dense": Subject(rows, width, deferred=False), "deferred": Subject(rows, width, deferred=True)}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(4 * rows // ids + repeats):
        chosen, gradient = torch.randint(rows, (ids,)), torch.randn(ids, width)
        for name, subject in subjects.items():
            times[name].append(subject.step(chosen, gradient))
    return {name: round(statistics.median(values[-repeats:]), 2) for name, values in times.items()}


def main() -> None:
    """Measure all tables and print them, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kernels.prepare()
    results = {
        f"{rows:,} x {width}, {ids:,} ids": measure(rows, width, ids, arguments.repeats) for rows, width, ids in TABLES
    }
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':26}{'dense':>8}{'deferred':>10}")
    for table, result in results.items():
        print(f"{table:26}{result['dense']:>8}{result['deferred']:>10}")


if __name__ == "__main__":
    main()
