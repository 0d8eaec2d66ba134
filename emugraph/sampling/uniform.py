"""Uniform negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.models.base import Side
from emugraph.sampling.base import NegativeSampler


class Uniform(NegativeSampler):
    """Each negative is any entity with the same probability, drawn with replacement and not filtered.

    Args:
        num_entities: N.
        k: negatives for each positive, K.
        shared: one set of K negatives for the whole batch, or K for each positive.

    Bordes et al., "Translating Embeddings for Modeling Multi-relational Data", NeurIPS 2013.
    """

    name = "uniform"

    def __init__(self, num_entities: int, k: int, *, shared: bool = True) -> None:
        self.num_entities = num_entities
        self.k = k
        self.shared = shared

    def sample(self, triples: Tensor, side: Side, generator: torch.Generator) -> Tensor:
        shape = (self.k,) if self.shared else (len(triples), self.k)
        return torch.randint(self.num_entities, shape, generator=generator, device=triples.device)
