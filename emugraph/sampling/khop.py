"""Structure-aware negatives from the k-hop neighbourhood (SANS)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError
from emugraph.neighbors import Neighborhood, neighborhood
from emugraph.sampling.base import NegativeSampler
from emugraph.types import Side


class KHop(NegativeSampler):
    """Each negative is any entity within ``hops`` of the one that is known, with the same probability.

    The tail is replaced by a candidate of the head, the head by one of the tail (:mod:`emugraph.neighbors`); drawn
    with replacement. An entity without neighbours draws from all entities. Filtered by default, since an entity's own
    neighbours are among its candidates.

    Args:
        kg: the graph.
        hops: how far candidates may be.
        k: negatives for each positive, K.
        near: the neighbourhood, if it is at hand; otherwise it is taken from the cache or computed into it.
        options: ``filtered``, ``by_relation`` and ``corrupt``, see :class:`NegativeSampler`.

    Raises:
        InputError: the neighbourhood has another number of entities, or would take too much memory.

    Ahrabian et al., "Structure Aware Negative Sampling in Knowledge Graphs", EMNLP 2020.
    """

    name = "khop"
    can_share = False
    filters = True

    def __init__(
        self,
        kg: KnowledgeGraph,
        hops: int = 2,
        k: int = 256,
        *,
        near: Neighborhood | None = None,
        **options: Any,
    ) -> None:
        super().__init__(kg, k, **options)
        self.near = neighborhood(kg, hops) if near is None else near
        if self.near.num_entities != kg.num_entities:
            raise InputError(
                f"the neighbourhood has {self.near.num_entities:,} entities, and {kg.name} has {kg.num_entities:,}"
            )

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return self.near.draw(triples[:, 0 if side == "tail" else 2], k, generator)

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        self.near = self.near.to(device)
