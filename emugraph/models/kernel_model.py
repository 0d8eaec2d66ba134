"""What all models of the kernels share: mutated scores in one pass, whichever way candidates are held."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from emugraph.kernels import gathered_masked, pairwise_masked, spread_masks
from emugraph.models.base import Model, as_table


class KernelModel(Model):
    """A score that the kernels know."""

    kind: ClassVar[str]
    """The kind of score in :mod:`emugraph.kernels`."""

    def score_mutated(
        self,
        query: Tensor,
        positive: Tensor,
        candidate: Tensor,
        mask: Tensor,
        mask_group: int = 1,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        table, index = as_table(candidate, index)
        if index is None:
            return pairwise_masked(query, table, positive, mask, self.kind, mask_group=mask_group)
        mask = spread_masks(mask, mask_group, index.shape[1])
        return gathered_masked(query, table, index, positive, mask, self.kind)
