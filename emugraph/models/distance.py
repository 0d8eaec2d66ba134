"""What TransE and RotatE share: a score that is minus a distance between query and candidate."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from emugraph.kernels import pairwise
from emugraph.models.base import Model


class Distance(Model):
    """A score that is minus a distance; all pairs go through the fused kernels."""

    distance: ClassVar[str]
    """The distance's name in :mod:`emugraph.kernels`."""

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return pairwise(query, candidate, self.distance)
