"""What optimizers cost in a training step: PyTorch's, and those that touch only the rows of a step.

    python -m benchmarks.optimizers [--repeats 200] [--threads 2] [--json]

Per table: the look-up's backward pass and the step. Adam: PyTorch's fused one, with dense gradients, against
``DeferredAdam`` with sparse ones, its refresh before the look-up included. Adagrad, with sparse gradients: PyTorch's
against ``Adagrad`` and ``RowAdagrad``. The forward pass is the same for all and not counted. All take a step in turn,
each with the same new rows; the first steps, until rows have waited as long as they usually do, are left out. Medians,
in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from emugraph import kernels
from emugraph.optimizers import Adagrad, DeferredAdam, LazyAdam, RowAdagrad

TABLES = ((14_541, 100, 2_256), (14_541, 200, 3_000), (40_943, 200, 3_000))  # rows, width, ids a step

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "torch Adam": partial(torch.optim.Adam, fused=True),
    "DeferredAdam": DeferredAdam,
    "torch Adagrad": torch.optim.Adagrad,
    "Adagrad": Adagrad,
    "RowAdagrad": RowAdagrad,
    "LazyAdam": LazyAdam,
}


class Subject:
    """A table and its optimizer."""

    def __init__(self, rows: int, width: int, name: str) -> None:
        self.table = nn.Parameter(torch.randn(rows, width))
        self.optimizer = OPTIMIZERS[name]([self.table])
        self.sparse = name != "torch Adam"

    def step(self, ids: Tensor, gradient: Tensor) -> float:
        """A step's milliseconds."""
        self.optimizer.zero_grad()
        started = time.perf_counter()
        if isinstance(self.optimizer, DeferredAdam):
            self.optimizer.refresh(self.table, ids)
        refreshed = time.perf_counter()
        rows = functional.embedding(ids, self.table, sparse=self.sparse)
        looked_up = time.perf_counter()
        rows.backward(gradient)
        self.optimizer.step()
        return 1e3 * (time.perf_counter() - looked_up + refreshed - started)


def measure(rows: int, width: int, ids: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of a step, by optimizer."""
    torch.manual_seed(0)
    subjects = {name: Subject(rows, width, name) for name in OPTIMIZERS}
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
    torch.sparse.check_sparse_tensor_invariants.disable()  # their default; said aloud, torch does not warn of it
    kernels.prepare()
    results = {
        f"{rows:,} x {width}, {ids:,} ids": measure(rows, width, ids, arguments.repeats) for rows, width, ids in TABLES
    }
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':26}" + "".join(f"{name:>15}" for name in OPTIMIZERS))
    for table, result in results.items():
        print(f"{table:26}" + "".join(f"{result[name]:>15}" for name in OPTIMIZERS))


if __name__ == "__main__":
    main()
