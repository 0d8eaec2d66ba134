"""The candidates of every entity, as a compressed index that negatives are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from emugraph import _dgl

if TYPE_CHECKING:
    import dgl


@dataclass(frozen=True, eq=False)
class Neighborhood:
    """For each entity its candidates: the other entities that some hops reach.

    Args:
        starts: int64 (N + 1,); entity ``i`` has the candidates ``starts[i]`` to ``starts[i + 1]``.
        candidates: int32 (M,), ascending for each entity; perhaps memory-mapped.
        hops: how far they reach.
        walks: random walks from each entity, or 0 where the candidates are all entities within reach.
        seed: the seed of the walks.
    """

    starts: Tensor
    candidates: Tensor = field(repr=False)
    hops: int
    walks: int = 0
    seed: int = 0

    @property
    def num_entities(self) -> int:
        """The number of entities, N."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes in memory, where memory-mapped those that are read sooner or later."""
        return self.starts.nbytes + self.candidates.nbytes

    @property
    def counts(self) -> Tensor:
        """The number of candidates of each entity, int64 (N,)."""
        return self.starts.diff()

    @cached_property
    def complete(self) -> bool:
        """Whether every entity has a candidate."""
        return bool((self.counts > 0).all())

    def of(self, entity: int) -> Tensor:
        """The candidates of an entity, int64, ascending."""
        return self.candidates[self.starts[entity] : self.starts[entity + 1]].long()

    def draw(self, entities: Tensor, k: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw candidates of entities, each with the same probability, with replacement.

        An entity without candidates draws from all entities instead, itself among them.

        Args:
            entities: ids, int64 (B,), on the neighbourhood's device.
            k: draws for each, K.
            generator: the source of random numbers, on that device; None for torch's own.

        Returns:
            ids, int64 (B, K).
        """
        start = self.starts[entities].unsqueeze(1)  # (B, 1)
        count = self.starts[entities + 1].unsqueeze(1) - start
        if not self.complete:
            alone, count = count == 0, torch.where(count == 0, self.num_entities, count)
        # 32 random bits, scaled: quicker than a remainder, and even to one part in 2^32 / count.
        places = torch.empty(len(entities), k, dtype=torch.int64, device=entities.device)
        places.random_(0, 2**32, generator=generator).mul_(count).bitwise_right_shift_(32)
        if self.complete:
            return self._at(places.add_(start))
        if not len(self.candidates):
            return places
        return torch.where(alone, places, self._at(torch.where(alone, 0, places + start)))

    def _at(self, places: Tensor) -> Tensor:
        return torch.index_select(self.candidates, 0, places.flatten()).long().view_as(places)

    def to(self, device: torch.device | str) -> Neighborhood:
        """The same on another device."""
        return Neighborhood(self.starts.to(device), self.candidates.to(device), self.hops, self.walks, self.seed)

    def graph(self) -> dgl.DGLGraph:
        """A DGL graph with an edge from each candidate to the entity that it is a candidate of.

        In that direction ``dgl.sampling.sample_neighbors(graph, entities, k)`` draws candidates, as sources of edges.
        DGL keeps 8 bytes an edge at least, twice what is needed here.

        Raises:
            EmugraphError: DGL is not installed.
        """
        dgl = _dgl.load("Neighborhood.graph() is a DGL graph")
        if self.num_entities < 2**31 and len(self.candidates) < 2**31:
            starts, candidates = self.starts.int(), self.candidates
        else:
            starts, candidates = self.starts, self.candidates.long()
        return dgl.graph(
            ("csc", (starts, candidates, torch.empty(0, dtype=starts.dtype, device="cpu"))), num_nodes=self.num_entities
        )

    def statistics(self) -> dict[str, Any]:
        """Numbers of candidates: in all, and over entities the least, quartiles, mean and most; entities without."""
        counts = self.counts.cpu().numpy() if self.num_entities else np.zeros(1)
        quantiles = np.quantile(counts, [0, 0.25, 0.5, 0.75, 1])
        names = ("least", "25 %", "median", "75 %", "most")
        return {
            "hops": self.hops,
            "walks": self.walks,
            "entities": self.num_entities,
            "candidates": len(self.candidates),
            "without candidates": int((self.counts == 0).sum()),
            "mean": round(float(counts.mean()), 1),
            **dict(zip(names, quantiles.tolist(), strict=True)),
            "bytes": self.nbytes,
        }
