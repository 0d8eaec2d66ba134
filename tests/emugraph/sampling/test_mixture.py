from __future__ import annotations

import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.sampling import Bernoulli, InBatch, KHop, Mixture, NSCaching, Uniform


def test_each_has_its_share(star: KnowledgeGraph, generator: torch.Generator) -> None:
    mixture = Mixture([(1, KHop(star, hops=1)), (3, Uniform(star))], 9)
    assert mixture.counts == [2, 7]
    assert not mixture.shared
    drawn = mixture.sample(torch.tensor([[6, 1, 0]]).expand(50, 3), "tail", generator)
    assert drawn.shape == (50, 9)
    assert set(drawn[:, :2].flatten().tolist()) == {5}  # the one neighbour of 6
    assert set(drawn[:, 2:].flatten().tolist()) == set(range(8))


@pytest.mark.parametrize(
    ("shares", "k", "counts"), [([1, 1], 5, [3, 2]), ([0.5, 0.25, 0.25], 2, [1, 1, 0]), ([1, 99], 10, [0, 10])]
)
def test_shares_add_up(star: KnowledgeGraph, shares: list[float], k: int, counts: list[int]) -> None:
    mixture = Mixture([(share, Uniform(star)) for share in shares], k)
    assert mixture.counts == counts
    assert mixture.shared
    assert mixture.sample(star.train, "head", torch.Generator().manual_seed(0)).shape == (k,)


def test_a_side_by_relation_rules_all(star: KnowledgeGraph) -> None:
    assert Mixture([(1, Uniform(star)), (1, InBatch(star))], 4).head_probability is None
    assert Mixture([(1, Uniform(star)), (1, Bernoulli(star))], 4).head_probability is not None


def test_caches_hear_of_epochs_and_steps(star: KnowledgeGraph, generator: torch.Generator) -> None:
    caching = NSCaching(star, cache_size=2, candidates=50, update="top", update_every=2)
    mixture = Mixture([(1, caching), (1, Uniform(star))], 4)

    def score(triples: torch.Tensor, candidates: torch.Tensor, side: str) -> torch.Tensor:
        return candidates.float()

    for epoch, highest in ((2, False), (3, True)):
        mixture.on_epoch(epoch)
        mixture.on_step(star.train, "tail", score, generator)
        assert ((caching.caches["tail"] >= 6).all().item()) == highest


def test_what_cannot_be_mixed(star: KnowledgeGraph, grid: KnowledgeGraph) -> None:
    with pytest.raises(InputError, match="needs samplers with shares above 0"):
        Mixture([], 4)
    with pytest.raises(InputError, match="needs samplers with shares above 0"):
        Mixture([(0, Uniform(star))], 4)
    with pytest.raises(InputError, match="made for one graph"):
        Mixture([(1, Uniform(star)), (1, Uniform(grid))], 4)
