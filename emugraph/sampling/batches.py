"""The order in which positives are visited."""

from __future__ import annotations

import torch
from torch import Tensor


class Batches:
    """An endless stream of batches of triples, shuffled anew each epoch.

    Every batch is full: where an epoch ends inside a batch, the next epoch's first triples fill it, so that shapes
    never change and each triple is visited once an epoch.

    Args:
        triples: int64 (n, 3), n at least 1.
        batch_size: B; no more than n is used.
        generator: the source of the shuffles, on the CPU.
    """

    def __init__(self, triples: Tensor, batch_size: int, generator: torch.Generator) -> None:
        self.triples = triples
        self.batch_size = min(batch_size, len(triples))
        self.generator = generator
        self.epoch = 0
        self._pending = torch.empty(0, dtype=torch.int64, device=triples.device)

    def next(self) -> Tensor:
        """The next batch, int64 (B, 3)."""
        if len(self._pending) < self.batch_size:
            order = torch.randperm(len(self.triples), generator=self.generator).to(self.triples.device)
            self._pending = torch.cat([self._pending, order])
            self.epoch += 1
        chosen, self._pending = self._pending[: self.batch_size], self._pending[self.batch_size :]
        return self.triples[chosen]
