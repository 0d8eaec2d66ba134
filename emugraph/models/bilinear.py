"""What DistMult and ComplEx share: a score that is a dot product of query and candidate."""

from __future__ import annotations

from torch import Tensor

from emugraph.models.base import Model


class Bilinear(Model):
    """A score whose components are products: :math:`s(q, e) = \\sum_i q_i e_i`."""

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query * candidate

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query @ candidate.T

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        return (candidate @ query.unsqueeze(-1)).squeeze(-1) if candidate.ndim == 3 else (query * candidate).sum(-1)
