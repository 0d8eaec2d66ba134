"""The contract of a negative sampler."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from emugraph.models.base import Side


class NegativeSampler(ABC):
    """Draws entities to stand in the place of the true one.

    A sampler answers with entity ids on the device of the batch: (K,) where the whole batch shares its negatives, so
    that scores are one matrix product, or (B, K) where each positive has its own.
    """

    name: ClassVar[str]

    @abstractmethod
    def sample(self, triples: Tensor, side: Side, generator: torch.Generator) -> Tensor:
        """Negatives for a batch.

        Args:
            triples: the positives, int64 (B, 3).
            side: the side to corrupt.
            generator: the source of random numbers, on the device of ``triples``.

        Returns:
            entity ids, int64: (K,) shared or (B, K) per positive.
        """
