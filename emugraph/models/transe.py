"""TransE."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.models.distance import Distance
from emugraph.types import Side


class TransE(Distance):
    r"""A relation is a translation from head to tail, under the L1 norm.

    .. math:: s(h, r, t) = -\lVert \mathbf{h} + \mathbf{r} - \mathbf{t} \rVert_1

    Bordes et al., "Translating Embeddings for Modeling Multi-relational Data", NeurIPS 2013. The L2 norm, of which
    the paper speaks too, is :class:`TransEL2`.
    """

    name = "transe"
    title = "TransE"
    kind = "l1"

    @property
    def entity_width(self) -> int:
        return self.dim

    @property
    def relation_width(self) -> int:
        return self.dim

    def query(self, entity: Tensor, relation: Tensor, side: Side) -> Tensor:
        return entity + relation if side == "tail" else entity - relation

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return -(query - candidate).abs()


class TransEL2(TransE):
    r"""TransE under the L2 norm.

    .. math:: s(h, r, t) = -\lVert \mathbf{h} + \mathbf{r} - \mathbf{t} \rVert_2
    """

    name = "transe-l2"
    title = "TransE (L2)"
    kind = "l2"

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        return -(query - candidate).square()

    def link(self, total: Tensor) -> Tensor:
        # The square root has no finite slope at 0; the clamp gives a pair that coincides the gradient 0 instead.
        return -torch.sqrt((-total).clamp_min(1e-30))
