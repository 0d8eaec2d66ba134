"""What DistMult and ComplEx share: a score that is a dot product of query and candidate."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.kernels import gathered, gathered_masked, pairwise_masked, spread_masks
from emugraph.models.base import Model, as_table


class Bilinear(Model):
    """A score whose components are products: :math:`s(q, e) = \\sum_i q_i e_i`."""

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query * candidate

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query @ candidate.T

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        return (candidate @ query.unsqueeze(-1)).squeeze(-1) if candidate.ndim == 3 else (query * candidate).sum(-1)

    def score_negatives(self, query: Tensor, candidate: Tensor, index: Tensor | None = None) -> Tensor:
        if index is None:
            return super().score_negatives(query, candidate)
        return gathered(query, candidate, index, "dot")

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
            return pairwise_masked(query, table, positive, mask, "dot", run=run)
        mask = spread_masks(mask, run, index.shape[1])
        return gathered_masked(query, table, index, positive, mask, "dot")

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        # A score that is linear in the candidate mixes as its candidates do.
        plain = self.score_negatives(query, candidate, index)
        return plain, torch.lerp(self.score_each(query, positive).unsqueeze(1), plain, weight)
