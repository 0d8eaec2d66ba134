"""Finding candidates: powers of the sparse adjacency matrix, or random walks.

Both give, block by block of entities, the number of candidates of each and the candidates themselves, so that the
working memory is bounded whatever the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import torch

from emugraph.data.graph import KnowledgeGraph

if TYPE_CHECKING:
    import dgl

Block = tuple[np.ndarray, np.ndarray]
"""Numbers of candidates (n,) of the block's entities, and the candidates, int32, ascending for each entity."""

BLOCK = 1 << 24  # pairs of entities that one block may hold


def undirected(kg: KnowledgeGraph) -> dgl.DGLGraph:
    """The training triples as a DGL graph without relations and directions: each edge both ways, once, no loops."""
    from emugraph._dgl import dgl

    heads, tails = kg.train[:, 0], kg.train[:, 2]  # and not kg.homogeneous, to which edges may have been added
    both = dgl.graph((torch.cat([heads, tails]), torch.cat([tails, heads])), num_nodes=kg.num_entities)
    return dgl.to_simple(dgl.remove_self_loop(both), return_counts=None)


def adjacency(graph: dgl.DGLGraph) -> scipy.sparse.csr_array:
    """The adjacency matrix of a DGL graph, boolean, with columns in ascending order."""
    starts, columns, _ = graph.adj_tensors("csr")
    ones = np.ones(len(columns), dtype=np.bool_)
    size = graph.num_nodes()
    matrix = scipy.sparse.csr_array((ones, columns.numpy(), starts.numpy()), shape=(size, size))
    matrix.sort_indices()
    return matrix


def within_hops(graph: dgl.DGLGraph, entities: np.ndarray, hops: int) -> Iterator[Block]:
    """All entities within so many hops of each entity, itself left out, by powers of the adjacency matrix."""
    size = graph.num_nodes()
    step = (adjacency(graph) + scipy.sparse.eye_array(size, dtype=np.bool_, format="csr")).tocsr()
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


def walk_ends(graph: dgl.DGLGraph, entities: np.ndarray, hops: int, walks: int, seed: int) -> Iterator[Block]:
    """The entities at which random walks of so many steps end, each once, the start left out.

    Each of an entity's walks begins at the entity. DGL's own random numbers are seeded. It has a stream of them a
    thread, so that walks are made in one: the seed alone decides where they end.
    """
    from emugraph._dgl import dgl

    graph = graph.int()
    graph.create_formats_()
    threads = dgl.utils.get_num_threads()
    dgl.utils.set_num_threads(1)
    try:
        dgl.seed(int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big") >> 1)  # it takes 31 bits
        yield from _walk(graph, entities, hops, walks)
    finally:
        dgl.utils.set_num_threads(threads)


def _walk(graph: dgl.DGLGraph, entities: np.ndarray, hops: int, walks: int) -> Iterator[Block]:
    from emugraph._dgl import dgl

    for block in _blocks(entities, block_size(graph.num_nodes(), hops, walks)):
        starts = torch.from_numpy(block).to(graph.idtype).repeat_interleave(walks)
        traces, _ = dgl.sampling.random_walk(graph, starts, length=hops)
        ends = np.sort(traces[:, -1].numpy().reshape(len(block), walks), axis=1)
        fresh = (ends >= 0) & (ends != block[:, None])  # -1: an entity without neighbours
        fresh[:, 1:] &= ends[:, 1:] != ends[:, :-1]
        yield fresh.sum(axis=1), ends[fresh].astype(np.int32, copy=False)


def find(graph: dgl.DGLGraph, entities: np.ndarray, hops: int, walks: int, seed: int) -> Iterator[Block]:
    """The candidates of entities: within ``hops``, or where ``walks`` is not 0, those that walks of ``hops`` reach."""
    return walk_ends(graph, entities, hops, walks, seed) if walks else within_hops(graph, entities, hops)


def block_size(size: int, hops: int, walks: int = 0) -> int:
    """Entities of a block, so that it holds ``BLOCK`` pairs at most: steps of walks, or pairs within reach."""
    return max(1, BLOCK // max(1, walks * (hops + 1) if walks else size))


def _blocks(entities: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Consecutive blocks of so many entities."""
    return (entities[start : start + count] for start in range(0, len(entities), count))
