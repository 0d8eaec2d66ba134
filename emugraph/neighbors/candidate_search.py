"""Finding candidates: powers of the sparse adjacency matrix, or random walks.

Both give, block by block of entities, the number of candidates of each and the candidates themselves, so that the
working memory is bounded whatever the graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse

from emugraph.data.graph import KnowledgeGraph
from emugraph.neighbors.adjacency import adjacency
from emugraph.neighbors.random_walks import walker

Block = tuple[np.ndarray, np.ndarray]
"""Numbers of candidates (n,) of the block's entities, and the candidates, int32, ascending for each entity."""

BLOCK = 1 << 24  # pairs of entities that one block may hold


def within_hops(kg: KnowledgeGraph, entities: np.ndarray, hops: int) -> Iterator[Block]:
    """All entities within so many hops of each entity, itself left out, by powers of the adjacency matrix."""
    size = kg.num_entities
    step = (adjacency(kg) + scipy.sparse.eye_array(size, dtype=np.bool_, format="csr")).tocsr()
    for block in _blocks(entities, block_size(size, hops)):
        reached = step[block]
        for _ in range(hops - 1):
            before = reached.nnz
            reached = reached @ step
            if reached.nnz == before:  # everything within reach, however far
                break
        reached.sort_indices()
        rows = np.repeat(block, np.diff(reached.indptr))
        yield np.diff(reached.indptr) - 1, reached.indices[reached.indices != rows].astype(np.int32, copy=False)


def walk_ends(kg: KnowledgeGraph, entities: np.ndarray, hops: int, walks: int, seed: int) -> Iterator[Block]:
    """The entities at which random walks of so many steps end, each once, the start left out.

    Each of an entity's walks begins at the entity. The seed decides where they end.
    """
    with walker(kg, hops, seed) as walk:
        for block in _blocks(entities, block_size(kg.num_entities, hops, walks)):
            ends = walk(np.repeat(block.astype(np.int32), walks)).reshape(len(block), walks)
            ends = np.sort(ends, axis=1)
            fresh = (ends >= 0) & (ends != block[:, None])  # -1: an entity without neighbours
            fresh[:, 1:] &= ends[:, 1:] != ends[:, :-1]
            yield fresh.sum(axis=1), ends[fresh].astype(np.int32, copy=False)


def find(kg: KnowledgeGraph, entities: np.ndarray, hops: int, walks: int, seed: int) -> Iterator[Block]:
    """The candidates of entities: within ``hops``, or where ``walks`` is not 0, those that walks of ``hops`` reach."""
    return walk_ends(kg, entities, hops, walks, seed) if walks else within_hops(kg, entities, hops)


def block_size(size: int, hops: int, walks: int = 0) -> int:
    """Entities of a block, so that it holds ``BLOCK`` pairs at most: steps of walks, or pairs within reach."""
    return max(1, BLOCK // max(1, walks * (hops + 1) if walks else size))


def _blocks(entities: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Consecutive blocks of so many entities."""
    return (entities[start : start + count] for start in range(0, len(entities), count))
