"""What TransE and RotatE share: a score that is minus a distance between query and candidate."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from emugraph.kernels import gathered, gathered_masked, pairwise, pairwise_masked, pairwise_mixed, spread_masks
from emugraph.models.base import Model


class Distance(Model):
    """A score that is minus a distance; all pairs go through the fused kernels."""

    distance: ClassVar[str]
    """The kind of score in :mod:`emugraph.kernels`."""

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return pairwise(query, candidate, self.distance)

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        if candidate.ndim != 3:
            return super().score_each(query, candidate)
        return gathered(query, candidate.flatten(0, 1), _each_its_own(candidate), self.distance)

    def score_mutated(
        self, query: Tensor, positive: Tensor, candidate: Tensor, mask: Tensor, run: int = 1
    ) -> tuple[Tensor, Tensor]:
        if candidate.ndim == 2:
            return pairwise_masked(query, candidate, positive, mask, self.distance, run=run)
        index, mask = _each_its_own(candidate), spread_masks(mask, run, candidate.shape[1])
        return gathered_masked(query, candidate.flatten(0, 1), index, positive, mask, self.distance)

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        if candidate.ndim == 2:
            return pairwise_mixed(query, candidate, positive, weight, self.distance)
        return super().score_mixed_up(query, positive, candidate, weight)


def _each_its_own(candidate: Tensor) -> Tensor:
    """Where the rows of (B, K, w) candidates lie once flattened, (B, K)."""
    size, k, _ = candidate.shape
    return torch.arange(size * k, device=candidate.device).view(size, k)
