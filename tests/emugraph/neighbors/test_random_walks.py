from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emugraph import KnowledgeGraph, Vocabulary
from emugraph.neighbors import compute, stored_at
from emugraph.neighbors.random_walks import source, walker

WALKS = 20_000
# A triangle 0 1 2 with a tail 2 3 4, an edge 5 6 apart and 7 alone; edges repeated, turned round, and two loops.
EDGES = [(0, 1), (1, 0), (1, 2), (2, 0), (2, 0), (2, 3), (4, 3), (5, 6), (3, 3), (7, 7)]
NEIGHBORS = [[1, 2], [0, 2], [0, 1, 3], [2, 4], [3], [6], [5], []]


@pytest.fixture
def kg() -> KnowledgeGraph:
    entities = Vocabulary([f"e{i}" for i in range(8)], "entity")
    return KnowledgeGraph(entities, Vocabulary(["r"], "relation"), torch.tensor([(a, 0, b) for a, b in EDGES]))


@pytest.fixture(params=["dgl", "numpy"])
def drawn_by(request: pytest.FixtureRequest) -> str:
    """Both kinds of installation, one after the other."""
    request.getfixturevalue("dgl" if request.param == "dgl" else "without_dgl")
    assert source() == request.param
    return str(request.param)


@pytest.mark.usefixtures("drawn_by")
@pytest.mark.parametrize("hops", [1, 2, 3, 6])
def test_walks_end_as_often_as_the_powers_of_the_transition_matrix_say(kg: KnowledgeGraph, hops: int) -> None:
    step = np.zeros((8, 8))
    for entity, neighbors in enumerate(NEIGHBORS):
        step[entity, neighbors] = 1 / max(1, len(neighbors))
    chances = np.linalg.matrix_power(step, hops)
    with walker(kg, hops, seed=3) as walk:
        ends = walk(np.repeat(np.arange(8, dtype=np.int32), WALKS)).reshape(8, WALKS)
    assert (ends[7] == -1).all()
    for entity in range(7):
        counts = np.bincount(ends[entity], minlength=8)
        possible = chances[entity] > 0
        assert counts[~possible].sum() == 0
        if possible.sum() > 1:
            assert scipy.stats.chisquare(counts[possible], WALKS * chances[entity, possible]).pvalue > 1e-3


@pytest.mark.usefixtures("drawn_by")
def test_the_seed_decides(grid: KnowledgeGraph) -> None:
    one, same, other = (compute(grid, 3, walks=3, seed=seed).candidates.tolist() for seed in (4, 4, 5))
    assert one == same != other


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_numpys_walks_go_along_edges(seed: int, hops: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 15))
    triples = torch.from_numpy(random.integers(0, size, (int(random.integers(0, 30)), 3)))
    triples[:, 1] = 0
    entities = Vocabulary([f"e{i}" for i in range(size)], "entity")
    kg = KnowledgeGraph(entities, Vocabulary(["r"], "relation"), triples)
    edges = np.zeros((size, size), dtype=bool)
    for head, _, tail in triples.tolist():
        if head != tail:
            edges[head, tail] = edges[tail, head] = True
    reached = np.linalg.matrix_power(edges.astype(np.int64), hops) > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dgl", None)
        near = compute(kg, hops, walks=400, seed=0)
    for entity in range(size):
        ends = near.of(entity).tolist()
        assert ends == sorted(set(ends))
        assert reached[entity, ends].all()
        assert entity not in ends


def test_walks_of_another_source_are_kept_apart(kg: KnowledgeGraph, request: pytest.FixtureRequest) -> None:
    """And neighbourhoods within hops are not, which are the same."""
    request.getfixturevalue("dgl")
    here = stored_at(kg, 2), stored_at(kg, 2, walks=5)
    request.getfixturevalue("without_dgl")
    there = stored_at(kg, 2), stored_at(kg, 2, walks=5)
    assert here[0] == there[0]
    assert here[1] != there[1]
