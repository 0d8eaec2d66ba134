from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from emugraph import KnowledgeGraph, Vocabulary
from emugraph.sampling import Bernoulli
from emugraph.sampling.base import head_probability


def test_probability_by_hand(star: KnowledgeGraph) -> None:
    # Relation 0: four triples, two heads, three tails: 2 tails per head, 4/3 heads per tail. Relation 1: one of each.
    assert head_probability(star).tolist() == pytest.approx([2 / (2 + 4 / 3), 0.5])


def test_a_relation_without_triples_is_even() -> None:
    labels = Vocabulary(["a", "b"], "entity"), Vocabulary(["r", "s"], "relation")
    assert head_probability(KnowledgeGraph(*labels, torch.tensor([[0, 0, 1]]))).tolist() == [0.5, 0.5]


@pytest.mark.usefixtures("dgl")
def test_dgl_gets_each_side_as_often_as_its_probability(star: KnowledgeGraph) -> None:
    torch.manual_seed(0)
    edges = torch.tensor([0]).repeat(4000)  # 0 -r-> 1
    heads, tails = Bernoulli(star, 1)(star.homogeneous, edges)
    changed = (heads != 0).sum().item()
    assert binomtest(changed, 4000, 0.6 * 7 / 8).pvalue > 0.01  # one in eight is the head itself
    assert ((heads == 0) | (tails == 1)).all()
