"""What TransE and RotatE share: a score that is minus a distance between query and candidate."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from emugraph.kernels import gathered, gathered_masked, pairwise, pairwise_masked, pairwise_mixed, spread_masks
from emugraph.models.base import Model, as_table


class Distance(Model):
    """A score that is minus a distance; all pairs go through the fused kernels."""

    distance: ClassVar[str]
    """The kind of score in :mod:`emugraph.kernels`."""

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return pairwise(query, candidate, self.distance)

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        if candidate.ndim != 3:
            return super().score_each(query, candidate)
        return self.score_negatives(query, candidate)

    def score_negatives(self, query: Tensor, candidate: Tensor, index: Tensor | None = None) -> Tensor:
        table, index = as_table(candidate, index)
        if index is None:
            return pairwise(query, table, self.distance)
        return gathered(query, table, index, self.distance)

    def score_mutated(
        self,
        query: Tensor,
        positive: Tensor,
        candidate: Tensor,
        mask: Tensor,
        run: int = 1,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        table, index = as_table(candidate, index)
        if index is None:
            return pairwise_masked(query, table, positive, mask, self.distance, run=run)
        mask = spread_masks(mask, run, index.shape[1])
        return gathered_masked(query, table, index, positive, mask, self.distance)

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if index is None and candidate.ndim == 2:
            return pairwise_mixed(query, candidate, positive, weight, self.distance)
        return super().score_mixed_up(query, positive, candidate, weight, index)
