"""The training triples without relations and directions: each edge both ways, once, no loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse
import torch

from emugraph import _dgl
from emugraph.data.graph import KnowledgeGraph

if TYPE_CHECKING:
    import dgl


def undirected(kg: KnowledgeGraph) -> dgl.DGLGraph:
    """The edges as a DGL graph.

    Raises:
        EmugraphError: DGL is not installed.
    """
    dgl = _dgl.load("undirected gives a DGL graph")
    heads, tails = kg.train[:, 0], kg.train[:, 2]  # and not kg.homogeneous, to which edges may have been added
    with torch.device("cpu"):  # DGL's own tensors are on the default device
        both = dgl.graph((torch.cat([heads, tails]), torch.cat([tails, heads])), num_nodes=kg.num_entities)
        return dgl.to_simple(dgl.remove_self_loop(both), return_counts=None)


def adjacency(kg: KnowledgeGraph) -> scipy.sparse.csr_array:
    """The edges as a boolean matrix (N, N), with columns in ascending order."""
    edges = kg.train[:, [0, 2]].numpy()
    heads, tails = edges[edges[:, 0] != edges[:, 1]].T
    rows, columns = np.concatenate([heads, tails]), np.concatenate([tails, heads])
    ones = np.ones(len(rows), dtype=np.bool_)
    matrix = scipy.sparse.coo_array((ones, (rows, columns)), shape=(kg.num_entities, kg.num_entities)).tocsr()
    matrix.sort_indices()
    return matrix
