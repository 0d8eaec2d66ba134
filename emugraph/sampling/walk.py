"""Structure-aware negatives from random walks (RW-SANS)."""

from __future__ import annotations

from typing import Any

from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError
from emugraph.neighbors import Neighborhood, neighborhood
from emugraph.sampling.khop import KHop


class RandomWalk(KHop):
    """Each negative is any entity at which a random walk from the known one ended, with the same probability.

    Walks are made once, ``walks`` of ``hops`` steps from each entity, and an end counts once however many walks end
    there. Everything else is as in :class:`KHop`.

    Args:
        kg: the graph.
        hops: steps of a walk.
        k: negatives for each positive, K.
        walks: random walks from each entity.
        seed: the seed of the walks.
        near: the ends, if they are at hand.
        options: see :class:`KHop`.

    Ahrabian et al., "Structure Aware Negative Sampling in Knowledge Graphs", EMNLP 2020.
    """

    name = "walk"

    def __init__(
        self,
        kg: KnowledgeGraph,
        hops: int = 3,
        k: int = 256,
        *,
        walks: int = 1000,
        seed: int = 0,
        near: Neighborhood | None = None,
        **options: Any,
    ) -> None:
        if walks < 1:
            raise InputError(f"{walks} walks from each entity; at least one is needed")
        near = neighborhood(kg, hops, walks=walks, seed=seed) if near is None else near
        super().__init__(kg, hops, k, near=near, **options)
