from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from emugraph import InputError, KnowledgeGraph
from emugraph.sampling import NSCaching


def by_id(triples: torch.Tensor, candidates: torch.Tensor, side: str) -> torch.Tensor:
    """A model to which an entity is the more plausible the higher its id."""
    return candidates.float()


def test_a_cache_for_each_query_of_either_side(star: KnowledgeGraph) -> None:
    sampler = NSCaching(star, cache_size=4)
    assert sampler.caches["tail"].shape == (4, 4)  # (0, 0), (0, 1), (4, 0), (5, 1)
    assert sampler.caches["head"].shape == (5, 4)  # (1, 0), (2, 0), (3, 0), (1, 1), (6, 1)
    assert sampler.nbytes == 9 * 4 * 4


def test_draws_are_uniform_from_the_cache(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = NSCaching(star, 30_000, cache_size=3)
    sampler.caches["tail"][:] = torch.tensor([[5, 6, 7], [0, 0, 1], [2, 3, 4], [1, 1, 1]], dtype=torch.int32)
    # Queries in the order of head * 2 + relation: (0, 0), (0, 1), (4, 0), (5, 1).
    drawn = sampler.sample(torch.tensor([[4, 0, 1], [0, 1, 1]]), "tail", generator)
    counts = torch.bincount(drawn[0], minlength=8)
    assert counts.nonzero().flatten().tolist() == [2, 3, 4]
    assert chisquare(counts[2:5].numpy()).pvalue > 0.01
    assert chisquare(torch.bincount(drawn[1])[:2].numpy(), [20_000, 10_000]).pvalue > 0.01


def test_a_query_without_a_cache_draws_from_all(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = NSCaching(star, 20_000, cache_size=3)
    drawn = sampler.sample(torch.tensor([[7, 1, 0], [0, 0, 1]]), "tail", generator)
    assert chisquare(torch.bincount(drawn[0], minlength=8).numpy()).pvalue > 0.01
    sampler.on_step(torch.tensor([[7, 1, 0]]), "tail", by_id, generator)  # has nothing to update
    sampler.on_step(torch.tensor([[7, 1, 0], [0, 0, 1]]), "tail", by_id, generator)


def test_top_keeps_the_best_of_the_pool_once_each(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = NSCaching(star, cache_size=3, candidates=200, update="top")
    before = sampler.caches["tail"].clone()
    sampler.on_step(torch.tensor([[0, 0, 1]]), "tail", by_id, generator)
    assert sorted(sampler.caches["tail"][0].tolist()) == [5, 6, 7]
    assert torch.equal(sampler.caches["tail"][1:], before[1:])  # other queries keep theirs


def test_known_answers_stay_out_when_filtered(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = NSCaching(star, cache_size=3, candidates=200, update="top", filtered=True)

    def by_low_id(triples: torch.Tensor, candidates: torch.Tensor, side: str) -> torch.Tensor:
        return -candidates.float()

    sampler.on_step(torch.tensor([[0, 0, 1]]), "tail", by_low_id, generator)
    assert sorted(sampler.caches["tail"][0].tolist()) == [0, 4, 5]  # not 1, 2, 3
    assert not set(sampler.sample(star.train[:1], "tail", generator).flatten().tolist()) & {1, 2, 3}


def test_importance_keeps_by_the_softmax_of_scores(star: KnowledgeGraph, generator: torch.Generator) -> None:
    """One of a pool of all eight entities stays: entity i with probability proportional to exp(score of i)."""
    logits = torch.tensor([0.0, 1.0, -1.0, 0.5, 0.0, 2.0, -2.0, 0.0])
    sampler = NSCaching(star, cache_size=1, candidates=100)

    def score(triples: torch.Tensor, candidates: torch.Tensor, side: str) -> torch.Tensor:
        return logits[candidates]

    kept = torch.zeros(8)
    triple = torch.tensor([[0, 0, 1]])
    for _ in range(3000):
        sampler.on_step(triple, "tail", score, generator)
        kept[sampler.caches["tail"][0, 0]] += 1
    assert chisquare(kept.double().numpy(), (3000 * logits.double().softmax(0)).numpy()).pvalue > 0.01


def test_a_query_that_comes_up_often_is_updated_once(star: KnowledgeGraph, fixed: bool) -> None:
    """Or each time to the same, so that the result does not depend on which thread writes last."""
    asked: list[int] = []

    def score(triples: torch.Tensor, candidates: torch.Tensor, side: str) -> torch.Tensor:
        asked.append(len(triples))
        return candidates.float()

    batch = star.train[torch.arange(6000) % 6]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        caches = []
        for _ in range(5):
            sampler = NSCaching(star, cache_size=50)
            sampler.on_step(batch, "tail", score, torch.Generator().manual_seed(0))
            caches.append(sampler.caches["tail"])
    finally:
        torch.set_num_threads(threads)
    assert asked == [6000 if fixed else 4] * 5
    assert all(torch.equal(cache, caches[0]) for cache in caches)


def test_the_caches_of_a_batch_are_the_same_in_either_form(
    star: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no query comes up twice and each has a cache, both draw the same random numbers."""
    caches = []
    for everywhere in (False, True):
        monkeypatch.setattr("emugraph.static_shapes.everywhere", everywhere)
        sampler = NSCaching(star, cache_size=5, candidates=6)
        sampler.on_step(star.train[[5, 0, 3]], "tail", by_id, torch.Generator().manual_seed(0))
        caches.append(sampler.caches["tail"])
    assert torch.equal(*caches)
    assert not torch.equal(caches[0], NSCaching(star, cache_size=5).caches["tail"])


def test_lazy_updates(star: KnowledgeGraph, generator: torch.Generator) -> None:
    sampler = NSCaching(star, cache_size=3, candidates=50, update="top", update_every=3)
    changed = []
    for epoch in range(1, 8):
        sampler.caches["tail"].zero_()
        sampler.on_epoch(epoch)
        sampler.on_step(star.train, "tail", by_id, generator)
        changed.append(bool(sampler.caches["tail"].any()))
    assert changed == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("name", ["cache_size", "candidates", "update_every"])
def test_values_out_of_range(star: KnowledgeGraph, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0; it must be at least 1"):
        NSCaching(star, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"update of caches 'topp'; known: importance, top. Did you mean 'top'\?"):
        NSCaching(star, update="topp")  # type: ignore[arg-type]
