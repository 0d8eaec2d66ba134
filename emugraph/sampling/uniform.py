"""Uniform negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.sampling.base import NegativeSampler
from emugraph.types import Side


class Uniform(NegativeSampler):
    """Each negative is any entity with the same probability, drawn with replacement.

    Arguments as for :class:`NegativeSampler`. Bordes et al., "Translating Embeddings for Modeling Multi-relational
    Data", NeurIPS 2013.
    """

    name = "uniform"

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return torch.randint(self.num_entities, (len(triples), k), generator=generator, device=triples.device)

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return torch.randint(self.num_entities, (k,), generator=generator, device=triples.device)
