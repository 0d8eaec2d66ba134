"""ComplEx."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.models.bilinear import Bilinear
from emugraph.types import Side


class ComplEx(Bilinear):
    r"""DistMult over complex numbers, with the tail conjugated, so that relations need not be symmetric.

    .. math:: s(h, r, t) = \operatorname{Re} \sum_i h_i \, r_i \, \overline{t_i}

    Trouillon et al., "Complex Embeddings for Simple Link Prediction", ICML 2016. ``dim`` counts complex numbers; a row
    holds all real parts, then all imaginary parts. The real part of a product with a conjugate is the dot product of
    the 2d real coordinates, so that these are the components.
    """

    name = "complex"
    title = "ComplEx"

    @property
    def entity_width(self) -> int:
        return 2 * self.dim

    @property
    def relation_width(self) -> int:
        return 2 * self.dim

    def query(self, entity: Tensor, relation: Tensor, side: Side) -> Tensor:
        a, b = entity.chunk(2, dim=-1)
        c, d = relation.chunk(2, dim=-1)
        if side == "head":  # Re(h r conj(t)) = Re(h conj(conj(r) t))
            d = -d
        return torch.cat([a * c - b * d, a * d + b * c], dim=-1)
