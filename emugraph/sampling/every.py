"""Every entity as a negative."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.models.base import Side
from emugraph.sampling.base import NegativeSampler


class EveryEntity(NegativeSampler):
    """The whole vocabulary is held against each positive (1-vs-All), shared by the batch.

    The true entity is among the negatives, as it can be among uniform ones. To a softmax with one-hot labels that is a
    head start of ln 2 for the positive, which moves no gradient's sign and no rank; with labels ``beta`` (Eq. 4) the
    lead that is asked for is ln((1 + beta) / (2 beta)) in place of -ln beta.

    Args:
        num_entities: N.

    Lacroix et al., "Canonical Tensor Decomposition for Knowledge Base Completion", ICML 2018.
    """

    name = "all"

    def __init__(self, num_entities: int) -> None:
        self.num_entities = num_entities

    def sample(self, triples: Tensor, side: Side, generator: torch.Generator) -> Tensor:
        return torch.arange(self.num_entities, device=triples.device)
