"""What the machine allows, measured beside what is held against it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

from benchmarks.timing import Form, interleave


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
    forms: dict[str, Form] = {
        "product": (lambda: torch.mm(x, x, out=product), 1), "copy": (lambda: target.copy_(source), 1)
    }  # fmt: skip
    times = interleave(forms, rounds)
    took = {form: statistics.median(seconds) for form, seconds in times.seconds.items()}
    return Limits(2 * 1024**3 / took["product"] / 1e9, 2 * source.nbytes / took["copy"] / 1e9)
