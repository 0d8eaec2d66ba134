from __future__ import annotations

import torch
from scipy.stats import chisquare

from emugraph import KnowledgeGraph
from emugraph.sampling import InBatch

BATCH = torch.tensor([[0, 0, 1], [0, 0, 2], [4, 0, 1], [5, 1, 6]])


def test_answers_of_the_other_positives(star: KnowledgeGraph, generator: torch.Generator) -> None:
    drawn = InBatch(star, 30_000, shared=False).sample(BATCH, "tail", generator)
    counts = torch.bincount(drawn[0], minlength=8)
    assert counts.nonzero().flatten().tolist() == [1, 2, 6]  # of the second, third and fourth
    assert chisquare(counts[[1, 2, 6]].numpy()).pvalue > 0.01
    counts = torch.bincount(drawn[3], minlength=8)
    assert chisquare(counts[[1, 2]].numpy(), [20_000, 10_000]).pvalue > 0.01
    heads = InBatch(star, 300, shared=False).sample(BATCH, "head", generator)
    assert set(heads[3].tolist()) == {0, 4}


def test_shared_are_answers_of_all(star: KnowledgeGraph, generator: torch.Generator) -> None:
    counts = torch.bincount(InBatch(star, 30_000).sample(BATCH, "tail", generator), minlength=8)
    assert chisquare(counts[[1, 2, 6]].numpy(), [15_000, 7_500, 7_500]).pvalue > 0.01


def test_filtered_draws_from_the_batch_again(star: KnowledgeGraph, generator: torch.Generator) -> None:
    drawn = InBatch(star, 300, filtered=True).sample(BATCH, "tail", generator)
    counts = torch.bincount(drawn[0], minlength=8)
    assert counts[[1, 2, 3]].tolist() == [0, 0, 0]  # known tails of 0 by relation 0
    assert counts[6] > 200  # the one other answer of the batch


def test_a_batch_of_one_draws_from_all(star: KnowledgeGraph, generator: torch.Generator) -> None:
    drawn = InBatch(star, 20_000, shared=False).sample(BATCH[:1], "tail", generator)[0]
    assert chisquare(torch.bincount(drawn, minlength=8).numpy()).pvalue > 0.01
