"""What TransE and RotatE share: a score that is minus a distance between query and candidate."""

from __future__ import annotations

from torch import Tensor

from emugraph.kernels import gathered, pairwise, pairwise_mixed
from emugraph.models.base import as_table
from emugraph.models.kernel_model import KernelModel


class Distance(KernelModel):
    """A score that is minus a distance; all pairs go through the fused kernels."""

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return pairwise(query, candidate, self.kind)

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        if candidate.ndim != 3:
            return super().score_each(query, candidate)
        return self.score_negatives(query, candidate)

    def score_negatives(self, query: Tensor, candidate: Tensor, index: Tensor | None = None) -> Tensor:
        table, index = as_table(candidate, index)
        if index is None:
            return pairwise(query, table, self.kind)
        return gathered(query, table, index, self.kind)

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if index is None and candidate.ndim == 2:
            return pairwise_mixed(query, candidate, positive, weight, self.kind)
        return super().score_mixed_up(query, positive, candidate, weight, index)
