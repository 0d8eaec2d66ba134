from __future__ import annotations

import torch
from scipy.stats import chisquare

from emugraph import KnowledgeGraph
from emugraph.sampling import Uniform


def test_shapes_of_both_ways(star: KnowledgeGraph, generator: torch.Generator) -> None:
    assert Uniform(star, 4).sample(star.train, "tail", generator).shape == (4,)
    assert Uniform(star, 4, shared=False).sample(star.train, "head", generator).shape == (6, 4)


def test_every_entity_is_equally_likely(star: KnowledgeGraph, generator: torch.Generator) -> None:
    for shared in (True, False):
        drawn = Uniform(star, 40_000, shared=shared).sample(star.train[:1], "tail", generator).flatten()
        assert chisquare(torch.bincount(drawn, minlength=8).numpy()).pvalue > 0.01


def test_every_entity_but_known_answers(star: KnowledgeGraph, generator: torch.Generator) -> None:
    drawn = Uniform(star, 30_000, filtered=True).sample(star.train[:1], "tail", generator)
    counts = torch.bincount(drawn[0], minlength=8)
    assert counts[[1, 2, 3]].tolist() == [0, 0, 0]
    assert chisquare(counts[[0, 4, 5, 6, 7]].numpy()).pvalue > 0.01
