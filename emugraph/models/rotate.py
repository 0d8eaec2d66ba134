"""RotatE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from emugraph.models.base import init_uniform
from emugraph.models.distance import Distance
from emugraph.types import Side


class RotatE(Distance):
    r"""A relation rotates each complex component of the head onto the tail.

    .. math:: s(h, r, t) = -\sum_i \lvert h_i \, e^{\mathrm{i} \theta_i} - t_i \rvert

    Sun et al., "RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space", ICLR 2019. ``dim`` counts
    complex numbers; an entity's row holds all real parts, then all imaginary parts, a relation's the d phases in
    radians. A rotation keeps moduli, so that a query for the head rotates the tail back.
    """

    name = "rotate"
    title = "RotatE"
    kind = "modulus"
    penalized_relations = False

    @property
    def entity_width(self) -> int:
        return 2 * self.dim

    @property
    def relation_width(self) -> int:
        return self.dim

    @property
    def num_components(self) -> int:
        return self.dim

    def init_relations(self, scale: float, generator: torch.Generator) -> None:
        """Phases start uniform over the circle."""
        init_uniform(self.relations, math.pi, generator)

    def query(self, entity: Tensor, relation: Tensor, side: Side) -> Tensor:
        a, b = entity.chunk(2, dim=-1)
        cos, sin = relation.cos(), relation.sin()
        if side == "head":
            sin = -sin
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        re, im = (query - candidate).chunk(2, dim=-1)
        # The clamp gives a pair that coincides the gradient 0, where the modulus has none.
        return -torch.sqrt((re.square() + im.square()).clamp_min(1e-30))
