from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from emugraph import InputError, KnowledgeGraph
from emugraph.neighbors import compute
from emugraph.sampling import KHop
from emugraph.sampling.filtering import TRIES


def test_candidates_of_the_known_side(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = KHop(star, hops=2, k=20_000, filtered=False)
    pair = torch.tensor([[4, 0, 1]])
    tails = torch.bincount(sampler.sample(pair, "tail", generator)[0], minlength=8)
    assert tails.nonzero().flatten().tolist() == [0, 1]  # within two hops of 4
    assert chisquare(tails[:2].numpy()).pvalue > 0.01
    heads = torch.bincount(sampler.sample(pair, "head", generator)[0], minlength=8)
    assert heads.nonzero().flatten().tolist() == [0, 2, 3, 4]  # within two hops of 1
    assert chisquare(heads[[0, 2, 3, 4]].numpy()).pvalue > 0.01


def test_filtered_by_default(star: KnowledgeGraph, generator: torch.Generator) -> None:
    """Of two candidates one is known: the other comes up, but for those that were drawn wrong every time."""
    sampler = KHop(star, hops=2, k=5000)
    tails = torch.bincount(sampler.sample(torch.tensor([[4, 0, 1]]), "tail", generator)[0], minlength=8)
    assert tails[1] == 0
    assert tails[0] > 5000 * (1 - 2 * 0.5 ** (TRIES + 1)) - 20
    heads = torch.bincount(sampler.sample(torch.tensor([[4, 0, 1]]), "head", generator)[0], minlength=8)
    assert heads[[0, 4]].tolist() == [0, 0]
    assert heads[2] + heads[3] > 4950


def test_an_entity_with_known_answers_only_falls_back(star: KnowledgeGraph, generator: torch.Generator) -> None:
    """5 has one candidate, 6, which is its known answer."""
    drawn = torch.bincount(KHop(star, hops=2, k=20_000).sample(torch.tensor([[5, 1, 6]]), "tail", generator)[0])
    assert drawn[6] == 0
    assert chisquare(drawn[[0, 1, 2, 3, 4, 5, 7]].numpy()).pvalue > 0.01


def test_an_entity_alone_draws_from_all(star: KnowledgeGraph, generator: torch.Generator) -> None:
    drawn = KHop(star, hops=2, k=20_000).sample(torch.tensor([[7, 0, 0]]), "tail", generator)[0]
    assert chisquare(torch.bincount(drawn, minlength=8).numpy()).pvalue > 0.01


def test_a_neighbourhood_at_hand(star: KnowledgeGraph, grid: KnowledgeGraph, generator: torch.Generator) -> None:
    near = compute(star, 1)
    assert KHop(star, near=near, k=5).near is near
    with pytest.raises(InputError, match="the neighbourhood has 8 entities, and grid has 60"):
        KHop(grid, near=near)
    with pytest.raises(InputError, match="'khop' draws for each positive"):
        KHop(star, shared=True)
