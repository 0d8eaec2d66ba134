"""What the machine allows, measured beside what is held against it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Limits:
    """Rates of the machine, with PyTorch's number of threads."""

    gflops: float  # of float32 matrix products
    copy_gb_s: float  # of a copy, bytes read and bytes written

    def seconds(self, operations: float, moved: float) -> float:
        """The least time for so many operations of products and so many bytes, whichever takes longer."""
        return max(operations / self.gflops, moved / self.copy_gb_s) / 1e9


def measure_limits(rounds: int = 9) -> Limits:
    """The medians of rounds in turn: a product of 1024 x 1024 x 1024, a copy of 256 MB."""
    x, source = torch.randn(1024, 1024), torch.randn(1 << 26)
    product, target = torch.empty_like(x), torch.empty_like(source)
    products, copies = [], []
    for _ in range(rounds):
        products.append(_seconds(lambda: torch.mm(x, x, out=product)))
        copies.append(_seconds(lambda: target.copy_(source)))
    return Limits(2 * 1024**3 / statistics.median(products) / 1e9, 2 * source.nbytes / statistics.median(copies) / 1e9)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
