"""Random walks over the undirected training triples: DGL's where it is installed, NumPy's elsewhere.

Both draw from the same distribution: each step goes to one of the entity's neighbours, each with the same probability.
They draw other numbers, so that a seed gives the same walks on one installation and others on another.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from emugraph import _dgl
from emugraph.data.graph import KnowledgeGraph
from emugraph.neighbors.adjacency import adjacency, undirected

if TYPE_CHECKING:
    import scipy.sparse

Walker = Callable[[np.ndarray], np.ndarray]
"""Where one walk from each start (n,) ends, int (n,); -1 for a start without neighbours."""


def source() -> str:
    """What draws random walks here, "dgl" or "numpy": with it and a seed, walks are the same again."""
    return "dgl" if _dgl.installed() else "numpy"


@contextlib.contextmanager
def walker(kg: KnowledgeGraph, hops: int, seed: int) -> Iterator[Walker]:
    """What walks so many steps, with random numbers of its own from the seed."""
    if source() == "dgl":
        with _dgl_walker(kg, hops, seed) as walk:
            yield walk
    else:
        matrix, random = adjacency(kg), np.random.default_rng(seed)
        yield lambda starts: _numpy_ends(matrix, starts, hops, random)


@contextlib.contextmanager
def _dgl_walker(kg: KnowledgeGraph, hops: int, seed: int) -> Iterator[Walker]:
    """DGL's walks. It has a stream of random numbers a thread: walks are made in one, and the seed alone decides."""
    dgl = _dgl.load("random walks are DGL's")
    graph = undirected(kg).int()
    graph.create_formats_()

    def walk(starts: np.ndarray) -> np.ndarray:
        traces, _ = dgl.sampling.random_walk(graph, torch.from_numpy(starts).to(graph.idtype), length=hops)
        ends: np.ndarray = traces[:, -1].numpy()
        return ends

    threads = dgl.utils.get_num_threads()
    dgl.utils.set_num_threads(1)
    try:
        dgl.seed(int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big") >> 1)  # it takes 31 bits
        yield walk
    finally:
        dgl.utils.set_num_threads(threads)


def _numpy_ends(
    matrix: scipy.sparse.csr_array, starts: np.ndarray, hops: int, random: np.random.Generator
) -> np.ndarray:
    """Where walks over an adjacency matrix end. Who has a neighbour to go to has one to go back to, and never stops."""
    degrees = np.diff(matrix.indptr)
    ends = np.where(degrees[starts] > 0, starts, -1)
    going = ends >= 0
    at = starts[going]
    for _ in range(hops):
        at = matrix.indices[matrix.indptr[at] + random.integers(degrees[at])]
    ends[going] = at
    return ends
