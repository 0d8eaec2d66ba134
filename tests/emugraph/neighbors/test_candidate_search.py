from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import networkx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import emugraph
from emugraph import InputError, KnowledgeGraph, Vocabulary
from emugraph.neighbors import candidate_search, compute


def graph_of(triples: list[tuple[int, int, int]], size: int) -> KnowledgeGraph:
    entities = Vocabulary([f"e{i}" for i in range(size)], "entity")
    return KnowledgeGraph(
        entities, Vocabulary(["r", "s"], "relation"), torch.tensor(triples, dtype=torch.int64).reshape(-1, 3)
    )


def breadth_first(kg: KnowledgeGraph, entity: int, hops: int) -> list[int]:
    """The independent answer: networkx over the undirected training triples."""
    graph = networkx.Graph()
    graph.add_nodes_from(range(kg.num_entities))
    graph.add_edges_from(kg.train[:, [0, 2]].tolist())
    actual = networkx.single_source_shortest_path_length(graph, entity, cutoff=hops)
    return sorted(set(actual) - {entity})


small_graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 1), st.integers(0, size - 1)), max_size=25),
        st.just(size),
    )
)


@settings(deadline=None, max_examples=60)
@given(small_graphs, st.integers(1, 4))
def test_exact_neighbourhoods_are_those_of_a_breadth_first_search(
    drawn: tuple[list[tuple[int, int, int]], int], hops: int
) -> None:
    kg = graph_of(*drawn)
    near = compute(kg, hops)
    assert [near.of(i).tolist() for i in range(kg.num_entities)] == [
        breadth_first(kg, i, hops) for i in range(kg.num_entities)
    ]


@settings(deadline=None, max_examples=40)
@given(small_graphs, st.integers(1, 4), st.integers(1, 30))
def test_walks_end_within_reach_and_visit_each_end_once(
    drawn: tuple[list[tuple[int, int, int]], int], hops: int, walks: int
) -> None:
    kg = graph_of(*drawn)
    near = compute(kg, hops, walks=walks, seed=1)
    for entity in range(kg.num_entities):
        ends = near.of(entity).tolist()
        assert ends == sorted(set(ends))
        assert set(ends) <= set(breadth_first(kg, entity, hops))


def test_walks_begin_at_the_entity_each_time() -> None:
    """On a path, one walk of one step from the middle ends at a neighbour; many walks end at both, never further."""
    kg = graph_of([(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 4)], 5)
    assert compute(kg, 1, walks=200).of(2).tolist() == [1, 3]
    assert compute(kg, 2, walks=200).of(2).tolist() == [0, 4]  # back at the start is no candidate
    assert compute(kg, 3, walks=200).of(0).tolist() == [1, 3]


def test_the_seed_decides_where_walks_end(grid: KnowledgeGraph) -> None:
    one, same, other = (compute(grid, 3, walks=3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.candidates, same.candidates)
    assert one.candidates.tolist() != other.candidates.tolist()


def test_blocks_change_nothing(grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compute(grid, 2)
    monkeypatch.setattr(candidate_search, "BLOCK", 3 * grid.num_entities)
    assert len(list(candidate_search.within_hops(grid, np.arange(60), 2))) == 20
    pieces = compute(grid, 2)
    assert torch.equal(whole.candidates, pieces.candidates)
    assert torch.equal(whole.starts, pieces.starts)


def test_many_paths_to_one_entity_count_once() -> None:
    """256 ways of two steps, which is 0 in eight bits."""
    triples = [(0, 0, i) for i in range(2, 258)] + [(i, 0, 1) for i in range(2, 258)]
    assert 1 in compute(graph_of(triples, 258), 2).of(0).tolist()


def test_the_number_of_threads_does_not(tmp_path: Path) -> None:
    code = (
        "import emugraph, hashlib; from emugraph.neighbors import compute; "
        "near = compute(emugraph.load_dataset('wn18rr'), 3, walks=2, seed=5); "
        "print(hashlib.sha256(near.candidates.numpy()).hexdigest())"
    )
    actual = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(actual) == 1


@pytest.mark.usefixtures("dgl")
def test_edges_that_were_added_to_the_graph_are_no_training_triples(family: KnowledgeGraph) -> None:
    expected = compute(family, 1)
    family.homogeneous.add_edges(torch.tensor([0]), torch.tensor([4]), {"relation": torch.tensor([0])})
    assert torch.equal(compute(family, 1).candidates, expected.candidates)


@pytest.mark.parametrize(
    ("hops", "walks", "seed"),
    [(0, 0, 0), (-1, 0, 0), (101, 0, 0), (2, -1, 0), (2, 10_000_000, 0), (2, 9, -1), (2, 9, 2**63)],
)
def test_reach_that_cannot_be(family: KnowledgeGraph, hops: int, walks: int, seed: int) -> None:
    wrong = f"hops is {hops}" if walks == 0 else f"walks is {walks}" if seed == 0 else f"seed is {seed}"
    with pytest.raises(InputError, match=wrong):
        compute(family, hops, walks=walks, seed=seed)


def test_large_seeds_are_as_good_as_small_ones(grid: KnowledgeGraph) -> None:
    actual = [compute(grid, 3, walks=3, seed=seed).candidates.tolist() for seed in (0, 2**31, 2**32, 2**63 - 1)]
    assert len({tuple(candidates) for candidates in actual}) == 4


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_wn18rr_agrees_with_networkx(hops: int) -> None:
    kg = emugraph.load_dataset("wn18rr")
    graph = networkx.Graph()
    graph.add_nodes_from(range(kg.num_entities))
    graph.add_edges_from(kg.train[:, [0, 2]].tolist())
    entities = torch.randperm(kg.num_entities, generator=torch.Generator().manual_seed(hops))[:500].numpy()
    counts, candidates = (
        np.concatenate(part) for part in zip(*candidate_search.within_hops(kg, entities, hops), strict=True)
    )
    for entity, actual in zip(entities.tolist(), np.split(candidates, counts.cumsum()[:-1]), strict=True):
        reached = networkx.single_source_shortest_path_length(graph, entity, cutoff=hops)
        assert actual.tolist() == sorted(set(reached) - {entity})
