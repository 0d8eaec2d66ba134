"""What DistMult and ComplEx share: a score that is a dot product of query and candidate."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.kernels import pairwise_masked, spread_masks
from emugraph.models.base import Model, taken_from_positive


class Bilinear(Model):
    """A score whose components are products: :math:`s(q, e) = \\sum_i q_i e_i`."""

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query * candidate

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query @ candidate.T

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        return (candidate @ query.unsqueeze(-1)).squeeze(-1) if candidate.ndim == 3 else (query * candidate).sum(-1)

    def score_mutated(
        self, query: Tensor, positive: Tensor, candidate: Tensor, mask: Tensor, run: int = 1
    ) -> tuple[Tensor, Tensor]:
        if candidate.ndim == 2:
            return pairwise_masked(query, candidate, positive, mask, "dot", run=run)
        mask = spread_masks(mask, run, candidate.shape[1])
        plain = self.score_negatives(query, candidate)
        left = candidate.masked_fill(mask, 0)
        taken = taken_from_positive(query * positive, mask)
        return plain, taken + self.score_negatives(query, left)

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        # A score that is linear in the candidate mixes as its candidates do.
        plain = self.score_negatives(query, candidate)
        return plain, torch.lerp(self.score_each(query, positive).unsqueeze(1), plain, weight)
