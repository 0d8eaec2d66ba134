"""Every entity as a negative."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.sampling.base import NegativeSampler
from emugraph.types import Side


class OneVsAll(NegativeSampler):
    """The whole vocabulary is held against each positive (1-vs-All), shared by the batch.

    The true entity is among the negatives, as it can be among uniform ones. To a softmax with one-hot labels that is a
    head start of ln 2 for the positive, which moves no gradient's sign and no rank; with labels ``beta`` (Eq. 4) the
    lead that the loss asks for is ln((1 + beta) / (2 beta)) in place of -ln beta.

    Args:
        kg: the graph.

    Lacroix et al., "Canonical Tensor Decomposition for Knowledge Base Completion", ICML 2018.
    """

    name = "all"

    def __init__(self, kg: KnowledgeGraph) -> None:
        super().__init__(kg, kg.num_entities, shared=True)

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return self.draw_shared(triples, side, k, generator).expand(len(triples), -1)

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return torch.arange(self.num_entities, device=triples.device)
