from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import emugraph
from emugraph import EmugraphError, KnowledgeGraph, Vocabulary
from emugraph.neighbors import undirected
from emugraph.neighbors.adjacency import adjacency


def test_each_edge_both_ways_once_without_loops() -> None:
    kg = KnowledgeGraph.from_triples(
        [("a", "r", "b"), ("b", "s", "a"), ("a", "s", "b"), ("c", "r", "c"), ("c", "r", "b")], [("a", "r", "d")]
    )
    assert adjacency(kg).toarray().astype(int).tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_undirected_is_simple(dgl: ModuleType, family: KnowledgeGraph) -> None:
    graph = undirected(family)
    pairs = list(zip(*(ids.tolist() for ids in graph.edges()), strict=True))
    named = sorted((family.entities[a], family.entities[b]) for a, b in pairs if a < b)
    assert named == [("ann", "bob"), ("ann", "cat"), ("bob", "cat"), ("bob", "dan")]
    assert sorted(pairs) == sorted((b, a) for a, b in pairs)


def same_as_dgls(kg: KnowledgeGraph) -> bool:
    """Whether starts and columns are those of DGL's own compressed rows."""
    starts, columns, _ = undirected(kg).adj_tensors("csr")
    rows = torch.repeat_interleave(torch.arange(kg.num_entities), starts.diff())
    columns = columns[torch.argsort(rows * kg.num_entities + columns)]
    matrix = adjacency(kg)
    return np.array_equal(matrix.indptr, starts.numpy()) and np.array_equal(matrix.indices, columns.numpy())


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 12).flatmap(
        lambda size: st.tuples(
            st.lists(st.tuples(st.integers(0, size - 1), st.just(0), st.integers(0, size - 1)), max_size=40),
            st.just(size),
        )
    )
)
def test_it_is_dgls_graph(drawn: tuple[list[tuple[int, int, int]], int]) -> None:
    pytest.importorskip("dgl")
    triples, size = drawn
    entities = Vocabulary([f"e{i}" for i in range(size)], "entity")
    kg = KnowledgeGraph(entities, Vocabulary(["r"], "relation"), torch.tensor(triples).long().reshape(-1, 3))
    assert same_as_dgls(kg)


def test_wn18rrs_is_dgls_graph(dgl: ModuleType) -> None:
    assert same_as_dgls(emugraph.load_dataset("wn18rr"))


@pytest.mark.usefixtures("without_dgl")
def test_dgls_graph_needs_dgl(family: KnowledgeGraph) -> None:
    with pytest.raises(EmugraphError, match="undirected gives a DGL graph, and DGL is not installed: "):
        undirected(family)
