from __future__ import annotations

from types import ModuleType

import torch
from scipy.stats import chisquare

from emugraph.neighbors import Neighborhood

# Entity 0 has the candidates 1, 2, 4; entity 1 has 0; entity 2 none; entity 3 has 0, 4; entity 4 has all others.
NEAR = Neighborhood(
    torch.tensor([0, 3, 4, 4, 6, 10]), torch.tensor([1, 2, 4, 0, 0, 4, 0, 1, 2, 3], dtype=torch.int32), hops=2
)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_what_it_holds() -> None:
    assert NEAR.num_entities == 5
    assert NEAR.counts.tolist() == [3, 1, 0, 2, 4]
    assert NEAR.of(0).tolist() == [1, 2, 4]
    assert NEAR.of(2).tolist() == []
    assert not NEAR.complete
    assert NEAR.nbytes == 6 * 8 + 10 * 4


def test_each_candidate_is_drawn_as_often() -> None:
    drawn = NEAR.draw(torch.tensor([0, 1, 4]), 30_000, seeded())
    assert drawn.shape == (3, 30_000)
    counts = [torch.bincount(row, minlength=5) for row in drawn]
    assert counts[0][[0, 3]].tolist() == [0, 0]
    assert chisquare(counts[0][[1, 2, 4]].numpy()).pvalue > 0.01
    assert counts[1].tolist() == [30_000, 0, 0, 0, 0]
    assert chisquare(counts[2][:4].numpy()).pvalue > 0.01


def test_without_candidates_all_entities_are() -> None:
    counts = torch.bincount(NEAR.draw(torch.tensor([2]), 40_000, seeded())[0], minlength=5)
    assert chisquare(counts.numpy()).pvalue > 0.01
    empty = Neighborhood(torch.zeros(4, dtype=torch.int64), torch.empty(0, dtype=torch.int32), hops=1)
    assert set(empty.draw(torch.tensor([0, 1]), 500, seeded()).flatten().tolist()) == {0, 1, 2}


def test_the_same_with_candidates_for_all() -> None:
    near = Neighborhood(torch.tensor([0, 2, 3]), torch.tensor([0, 1, 0], dtype=torch.int32), hops=1)
    assert near.complete
    drawn = near.draw(torch.tensor([1, 0]), 500, seeded())
    assert set(drawn[0].tolist()) == {0}
    assert set(drawn[1].tolist()) == {0, 1}


def test_dgl_draws_from_its_graph(dgl: ModuleType) -> None:
    drawn = dgl.sampling.sample_neighbors(NEAR.graph(), torch.tensor([0, 3], dtype=torch.int32), 200, replace=True)
    candidates, entities = drawn.edges()
    assert set(candidates[entities == 0].tolist()) == {1, 2, 4}
    assert set(candidates[entities == 3].tolist()) == {0, 4}
    assert len(entities) == 400


def test_statistics() -> None:
    actual = NEAR.statistics()
    assert actual["candidates"] == 10
    assert actual["without candidates"] == 1
    assert (actual["least"], actual["median"], actual["mean"], actual["most"]) == (0, 2, 2.0, 4)
