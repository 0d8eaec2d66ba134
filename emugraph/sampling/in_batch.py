"""Negatives from the batch itself."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.sampling.base import NegativeSampler
from emugraph.types import Side


class InBatch(NegativeSampler):
    """Each negative is the true answer of another positive of the batch, so that frequent entities come up often.

    Drawn with replacement from the other positives; from all entities where there is no other. Shared by a batch, a
    set can have a positive's own answer in it, as a uniform one can.

    Arguments as for :class:`NegativeSampler`. Chen et al., "On Sampling Strategies for Neural Network-based
    Collaborative Filtering", KDD 2017.
    """

    name = "in-batch"

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        rows = torch.arange(len(triples), device=triples.device).repeat_interleave(k)
        return self.redraw(triples, side, rows, generator).view(len(triples), k)

    def redraw(self, triples: Tensor, side: Side, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        size, device = len(triples), triples.device
        if size == 1:
            return torch.randint(self.num_entities, (len(rows),), generator=generator, device=device)
        others = torch.randint(size - 1, (len(rows),), generator=generator, device=device)
        return _answers(triples, side)[others + (others >= rows)]  # never the positive's own

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return _answers(triples, side)[torch.randint(len(triples), (k,), generator=generator, device=triples.device)]


def _answers(triples: Tensor, side: Side) -> Tensor:
    return triples[:, 2 if side == "tail" else 0]
