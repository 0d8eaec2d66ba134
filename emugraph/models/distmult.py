"""DistMult."""

from __future__ import annotations

from torch import Tensor

from emugraph.models.bilinear import Bilinear
from emugraph.types import Side


class DistMult(Bilinear):
    r"""A relation weights the components of a product of head and tail.

    .. math:: s(h, r, t) = \sum_i h_i \, r_i \, t_i

    Symmetric in head and tail, unless relations are reciprocal. Yang et al., "Embedding Entities and Relations for
    Learning and Inference in Knowledge Bases", ICLR 2015.
    """

    name = "distmult"
    title = "DistMult"

    @property
    def entity_width(self) -> int:
        return self.dim

    @property
    def relation_width(self) -> int:
        return self.dim

    def query(self, entity: Tensor, relation: Tensor, side: Side) -> Tensor:
        return entity * relation
