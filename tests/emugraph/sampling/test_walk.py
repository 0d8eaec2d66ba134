from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from emugraph import InputError, KnowledgeGraph
from emugraph.neighbors import compute
from emugraph.sampling import RandomWalk


def test_each_end_is_as_likely(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = RandomWalk(star, hops=2, k=20_000, walks=200, filtered=False)
    drawn = torch.bincount(sampler.sample(torch.tensor([[2, 0, 0]]), "tail", generator)[0], minlength=8)
    assert drawn.nonzero().flatten().tolist() == [1, 3]  # two steps from 2; back at 2 is no candidate
    assert chisquare(drawn[[1, 3]].numpy()).pvalue > 0.01


def test_walks_there_must_be(grid: KnowledgeGraph) -> None:
    with pytest.raises(InputError, match="0 walks from each entity"):
        RandomWalk(grid, walks=0)


def test_the_seed_is_the_walks_own(grid: KnowledgeGraph) -> None:
    sampler = RandomWalk(grid, hops=3, k=4, walks=3, seed=5)
    assert torch.equal(sampler.near.candidates, compute(grid, 3, walks=3, seed=5).candidates)
    assert (sampler.near.hops, sampler.near.walks, sampler.near.seed) == (3, 3, 5)
