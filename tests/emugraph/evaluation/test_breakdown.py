from __future__ import annotations

import numpy as np
import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.evaluation.breakdown import Rankings, interval
from emugraph.evaluation.ranking import Evaluator, evaluate, summarize
from emugraph.models import DistMult
from emugraph.prediction.trained_model import TrainedModel


@pytest.fixture
def rankings() -> Rankings:
    """Four triples of two relations: "one" is 1-1, "many" is 1-N."""
    kg = KnowledgeGraph.from_triples(
        [("a", "one", "b"), *[("a", "many", f"t{i}") for i in range(4)]],
        test=[("a", "one", "b"), ("b", "one", "c"), ("a", "many", "t9"), ("t9", "many", "a")],
    )
    return Rankings(kg, kg.test, torch.tensor([[1.0, 2.0], [4.0, 1.0], [10.0, 1.0], [2.5, 20.0]]).double())


def test_by_relation(rankings: Rankings) -> None:
    every, one, many = rankings.by("relation")
    assert every["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 + 1 / 10 + 1 + 1 / 2.5 + 1 / 20) / 8)
    assert (one["group"], one["triples"], one["rankings"]) == ("one", 2, 4)
    assert one["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 4 + 1) / 4)
    assert (one["tail"], one["head"]) == (pytest.approx(1.25 / 2), pytest.approx(1.5 / 2))
    assert (one["hits@1"], one["hits@3"], one["hits@10"]) == (0.5, 0.75, 1.0)
    assert many["hits@10"] == 0.75


def test_by_side(rankings: Rankings) -> None:
    _, tail, head = rankings.by("side")
    assert (tail["group"], tail["triples"], tail["rankings"], tail["head"]) == ("tail", 4, 4, None)
    assert tail["mrr"] == tail["tail"] == pytest.approx((1 + 1 / 4 + 1 / 10 + 1 / 2.5) / 4)
    assert head["mrr"] == pytest.approx((1 / 2 + 1 + 1 + 1 / 20) / 4)


def test_by_category(rankings: Rankings) -> None:
    assert [(row["group"], row["rankings"]) for row in rankings.by("category")] == [("all", 8), ("1-1", 4), ("1-N", 4)]


def test_by_frequency_of_the_answer(rankings: Rankings) -> None:
    # In training a stands in 5 triples, b in 1, c and t9 in none. Tails: b, c, t9, a; heads: a, b, a, t9.
    rows = {row["group"]: row for row in rankings.by("frequency")}
    assert {group: row["rankings"] for group, row in rows.items()} == {"all": 8, "0": 3, "1-3": 2, "4-10": 3}
    assert rows["0"]["mrr"] == pytest.approx((1 / 4 + 1 / 10 + 1 / 20) / 3)
    assert rows["4-10"]["mrr"] == pytest.approx((1 / 2.5 + 1 / 2 + 1) / 3)


def test_relations_that_training_lacks_are_a_category_of_their_own() -> None:
    kg = KnowledgeGraph.from_triples([("a", "r", "b")], test=[("a", "new", "b")])
    rows = Rankings(kg, kg.test, torch.ones(1, 2).double()).by("category")
    assert [row["group"] for row in rows] == ["all", "not in training"]


def test_one_triple_has_no_interval(rankings: Rankings) -> None:
    one = Rankings(rankings.kg, rankings.triples[:1], rankings.ranks[:1]).by("side")[0]
    assert (one["low"], one["high"]) == (None, None)


def test_unknown_groups(rankings: Rankings) -> None:
    with pytest.raises(InputError, match="unknown groups 'relations'.*Did you mean 'relation'"):
        rankings.by("relations")


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(300):
        low, high = interval(generator.exponential(size=80), np.ones(80), resamples=300, seed=trial)
        held += low <= 1.0 <= high
    assert 0.88 <= held / 300 <= 0.98


def test_an_interval_resamples_triples_not_rankings() -> None:
    """Of two rankings that always agree, the second adds nothing."""
    values = np.random.default_rng(0).random(200)
    once = interval(values, np.ones(200), seed=3)
    twice = interval(2 * values, 2 * np.ones(200), seed=3)
    assert once == pytest.approx(twice)


def test_rankings_agree_with_evaluation(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 8)
    rankings = TrainedModel(grid, model).rankings("valid")
    metrics = evaluate(model, grid, "valid")
    row = rankings.by("relation")[0]
    assert {name: row[name] for name in ("mrr", "hits@1", "hits@3", "hits@10")} == pytest.approx(
        {name: metrics[name] for name in ("mrr", "hits@1", "hits@3", "hits@10")}
    )
    assert (row["tail"], row["head"]) == pytest.approx((metrics["tail"]["mrr"], metrics["head"]["mrr"]))
    raw = TrainedModel(grid, model).rankings("valid", filtered=False)
    expected = Evaluator(grid).ranks(model, grid.valid, "tail", filtered=False).realistic
    assert torch.equal(raw.ranks[:, 0], expected)
    assert summarize(raw.ranks.flatten())["mrr"] <= metrics["mrr"]


def test_an_empty_split(grid: KnowledgeGraph) -> None:
    kg = KnowledgeGraph(grid.entities, grid.relations, grid.train)
    with pytest.raises(InputError, match="the test split of graph is empty"):
        TrainedModel(kg, DistMult(kg.num_entities, kg.num_relations, 8)).rankings()
