from __future__ import annotations

import torch
from scipy.stats import chisquare

from emugraph.sampling import Uniform


def test_shapes_of_both_ways() -> None:
    triples = torch.zeros(5, 3, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    assert Uniform(9, 4).sample(triples, "tail", generator).shape == (4,)
    assert Uniform(9, 4, shared=False).sample(triples, "head", generator).shape == (5, 4)


def test_every_entity_is_equally_likely() -> None:
    drawn = Uniform(20, 40_000).sample(torch.zeros(1, 3, dtype=torch.int64), "tail", torch.Generator().manual_seed(0))
    assert chisquare(torch.bincount(drawn, minlength=20).numpy()).pvalue > 0.01
