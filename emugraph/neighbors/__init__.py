"""Neighbourhoods: for each entity the entities within some hops of it, whatever the relations and their directions.

    >>> from emugraph import KnowledgeGraph
    >>> from emugraph.neighbors import compute
    >>> kg = KnowledgeGraph.from_triples([("a", "r", "b"), ("c", "r", "b"), ("c", "s", "d")])
    >>> near = compute(kg, hops=2)
    >>> [kg.entities[i] for i in near.of(kg.entity_id("a")).tolist()]
    ['b', 'c']

:func:`neighborhood` does the same through the cache on disk. Structure-aware negatives are drawn from it
(:class:`emugraph.sampling.KHop`, :class:`emugraph.sampling.RandomWalk`).
"""

from emugraph.neighbors.adjacency import undirected
from emugraph.neighbors.neighborhood import Neighborhood
from emugraph.neighbors.neighborhood_files import compute, neighborhood, stored_at
from emugraph.neighbors.size_estimate import Estimate, estimate

__all__ = ["Estimate", "Neighborhood", "compute", "estimate", "neighborhood", "stored_at", "undirected"]
