"""What DistMult and ComplEx share: a score that is a dot product of query and candidate."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.kernels import gathered, pairwise
from emugraph.models.kernel_model import KernelModel


class Bilinear(KernelModel):
    """A score whose components are products: :math:`s(q, e) = \\sum_i q_i e_i`."""

    kind = "dot"

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query * candidate

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return query @ candidate.T
        # With a whole table up to twice as quick, and candidates that are alike score alike wherever they stand.
        return pairwise(query, candidate, self.kind)

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        return (candidate @ query.unsqueeze(-1)).squeeze(-1) if candidate.ndim == 3 else (query * candidate).sum(-1)

    def score_negatives(self, query: Tensor, candidate: Tensor, index: Tensor | None = None) -> Tensor:
        if index is None:
            return super().score_negatives(query, candidate)
        return gathered(query, candidate, index, self.kind)

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        # A score that is linear in the candidate mixes as its candidates do.
        plain = self.score_negatives(query, candidate, index)
        return plain, torch.lerp(self.score_each(query, positive).unsqueeze(1), plain, weight)
