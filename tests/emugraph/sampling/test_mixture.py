from __future__ import annotations

import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.sampling import Bernoulli, InBatch, KHop, Mixture, NSCaching, Uniform


def test_each_has_its_share(star: KnowledgeGraph, generator: torch.Generator) -> None:
    parts = KHop(star, hops=1), Uniform(star)
    mixture = Mixture([(1, parts[0]), (3, parts[1])], 9)
    assert mixture.counts(9) == [2, 7]
    assert (parts[0].k, parts[1].k) == (256, 256)  # as they were
    assert not mixture.shared
    drawn = mixture.sample(torch.tensor([[6, 1, 0]]).expand(50, 3), "tail", generator)
    assert drawn.shape == (50, 9)
    assert set(drawn[:, :2].flatten().tolist()) == {5}  # the one neighbour of 6
    assert set(drawn[:, 2:].flatten().tolist()) == set(range(8))


@pytest.mark.parametrize(
    ("shares", "k", "counts"), [([1, 1], 5, [3, 2]), ([0.5, 0.25, 0.25], 3, [1, 1, 1]), ([1, 99], 60, [1, 59])]
)
def test_shares_add_up(star: KnowledgeGraph, shares: list[float], k: int, counts: list[int]) -> None:
    mixture = Mixture([(share, Uniform(star)) for share in shares], k)
    assert mixture.counts(k) == counts
    assert mixture.shared
    assert mixture.sample(star.train, "head", torch.Generator().manual_seed(0)).shape == (k,)


@pytest.mark.usefixtures("dgl")
def test_parts_may_repeat_and_nest(star: KnowledgeGraph, generator: torch.Generator) -> None:
    uniform = Uniform(star, shared=False)
    inner = Mixture([(1, uniform), (1, uniform)], 4)
    outer = Mixture([(1, inner), (1, KHop(star))], 9)
    assert outer.sample(star.train, "tail", generator).shape == (6, 9)
    assert len(outer(star.homogeneous, torch.tensor([0, 1]))[0]) == 18


@pytest.mark.usefixtures("dgl")
def test_a_side_by_relation_holds_in_dgl_too(star: KnowledgeGraph) -> None:
    torch.manual_seed(0)
    edges = torch.tensor([0]).repeat(400)
    for mixture in (
        Mixture([(1, Uniform(star)), (1, Bernoulli(star))], 4),
        Mixture([(1, Uniform(star, corrupt="head")), (1, Uniform(star, corrupt="tail"))], 4),
    ):
        heads, tails = mixture(star.homogeneous, edges)
        assert (heads != 0).any()
        assert (tails != 1).any()
    heads, tails = Mixture([(1, Uniform(star, corrupt="head"))], 4)(star.homogeneous, edges)
    assert (tails == 1).all()


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
    with pytest.raises(InputError, match="needs samplers with shares above 0"):
        Mixture([(float("inf"), Uniform(star))], 4)
    with pytest.raises(InputError, match="of 10 negatives a share of the mixture would have none"):
        Mixture([(1, Uniform(star)), (99, Uniform(star))], 10)
    with pytest.raises(InputError, match="made for one graph"):
        Mixture([(1, Uniform(star)), (1, Uniform(grid))], 4)
