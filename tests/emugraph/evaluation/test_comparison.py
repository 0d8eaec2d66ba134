from __future__ import annotations

import pytest
import torch
from torch import Tensor

from emugraph import InputError, KnowledgeGraph
from emugraph.evaluation.breakdown import Rankings
from emugraph.evaluation.comparison import compare


def rankings(ranks: Tensor) -> Rankings:
    kg = KnowledgeGraph.from_triples([], test=[(f"e{i}", "r", f"e{i + 1}") for i in range(len(ranks))])
    return Rankings(kg, kg.test, ranks.double())


def test_metrics_side_by_side() -> None:
    metrics = compare(rankings(torch.tensor([[1, 2], [5, 1]])), rankings(torch.tensor([[1, 1], [2, 4]])))
    assert metrics["mrr"]["first"] == pytest.approx((1 + 1 / 2 + 1 / 5 + 1) / 4)
    assert metrics["mrr"]["second"] == pytest.approx((1 + 1 + 1 / 2 + 1 / 4) / 4)
    assert metrics["mrr"]["difference"] == pytest.approx((1 / 2 + 3 / 10 - 3 / 4) / 4)
    assert metrics["hits@1"]["difference"] == 0
    assert metrics["hits@3"]["difference"] == 0
    assert (metrics["better"], metrics["worse"], metrics["equal"]) == (2, 1, 1)
    assert metrics["changed"] == [
        {"head": 1, "relation": 0, "tail": 2, "side": "head", "first": 1, "second": 4},
        {"head": 0, "relation": 0, "tail": 1, "side": "head", "first": 2, "second": 1},
        {"head": 1, "relation": 0, "tail": 2, "side": "tail", "first": 5, "second": 2},
    ]


def test_a_real_difference_is_told_from_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    ranks = torch.randint(1, 50, (400, 2), generator=generator)
    noise = torch.where(torch.rand(400, 2, generator=generator) < 0.5, ranks + 1, (ranks - 1).clamp_min(1))
    chance = compare(rankings(noise), rankings(ranks))["hits@10"]
    assert chance["low"] < 0 < chance["high"]
    assert chance["p_value"] > 0.05
    better = compare(rankings(ranks), rankings((ranks // 2).clamp_min(1)))["mrr"]
    assert 0 < better["low"] < better["difference"] < better["high"]
    assert better["p_value"] == pytest.approx(2 / 5000)  # the lowest that so many permutations can give


def test_p_values_of_models_that_are_alike_are_uniform() -> None:
    generator = torch.Generator().manual_seed(1)
    low = 0
    for _ in range(40):
        both = torch.randint(1, 20, (60, 2, 2), generator=generator)
        low += compare(rankings(both[..., 0]), rankings(both[..., 1]))["mrr"]["p_value"] < 0.2
    assert 2 <= low <= 16  # 8 expected


def test_a_model_and_itself() -> None:
    same = rankings(torch.tensor([[1, 2], [5, 1]]))
    metrics = compare(same, same)
    assert metrics["mrr"]["difference"] == 0
    assert metrics["mrr"]["p_value"] == 1
    assert (metrics["equal"], metrics["changed"]) == (4, [])


def test_other_triples_are_refused() -> None:
    first, second = rankings(torch.ones(3, 2)), rankings(torch.ones(2, 2))
    for other in (second, Rankings(first.kg, first.triples.flip(0), first.ranks)):
        with pytest.raises(InputError, match="different triples or graphs"):
            compare(first, other)
