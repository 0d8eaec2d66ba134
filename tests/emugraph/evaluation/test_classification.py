from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emugraph import InputError, KnowledgeGraph
from emugraph.evaluation.classification import choose_thresholds, classify
from emugraph.models import DistMult
from emugraph.prediction.trained_model import TrainedModel

SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=8)


def relations(*counts: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(counts[0], dtype=torch.int64), torch.zeros(counts[1], dtype=torch.int64)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_no_threshold_is_better(true: list[int], false: list[int]) -> None:
    scores = torch.tensor(true).float(), torch.tensor(false).float()
    threshold = choose_thresholds(*scores, relations(len(true), len(false)))[None]

    def right(at: float) -> int:
        return int((scores[0] >= at).sum() + (scores[1] < at).sum())

    assert right(threshold) == max(right(at + 0.5) for at in range(-5, 5))


@settings(deadline=None)
@given(SCORES, SCORES)
def test_areas_are_those_of_pairs_and_of_precision_at_each_true_one(true: list[int], false: list[int]) -> None:
    metrics = classify(torch.tensor(true).float(), torch.tensor(false).float(), relations(len(true), len(false)), None)
    wins = sum((t > f) + (t == f) / 2 for t in true for f in false)
    assert metrics["auc_roc"] == pytest.approx(wins / (len(true) * len(false)))
    precision = 0.0
    for score in set(true):  # equal scores are taken together
        above = sum(t >= score for t in true)
        precision += true.count(score) * above / (above + sum(f >= score for f in false))
    assert metrics["auc_pr"] == pytest.approx(precision / len(true))
    assert "accuracy" not in metrics


def test_each_relation_has_its_threshold() -> None:
    true, false = torch.tensor([5.0, 6.0, -1.0, -2.0]), torch.tensor([3.0, 4.0, -5.0, -6.0])
    both = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 1])
    thresholds = choose_thresholds(true, false, both)
    assert (thresholds[0], thresholds[1]) == (4.5, -3.5)
    metrics = classify(true, false, both, thresholds)
    assert (metrics["accuracy"], metrics["f1"]) == (1.0, 1.0)
    other = torch.tensor([7]), torch.tensor([7])  # a relation that validation lacks takes the common threshold
    assert classify(torch.tensor([9.0]), torch.tensor([-9.0]), other, thresholds)["accuracy"] == 1.0


def test_a_trained_model_classifies(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 8)
    trained = TrainedModel(grid, model)
    false = [("0,0", "right", "5,5"), ("9,5", "down", "0,0"), ("3,3", "right", "3,4")]
    metrics = trained.classify(false, torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert (metrics["positives"], metrics["negatives"]) == (len(grid.test), 3)
    true, others = trained.score(grid.test), trained.score(false)
    assert metrics["auc_roc"] == pytest.approx((true[:, None] > others).double().mean().item())
    assert 0 <= metrics["accuracy"] <= 1
    with pytest.raises(InputError, match="both true and false"):
        trained.classify([])
    with pytest.raises(InputError, match="unknown entity"):
        trained.classify([("0,0", "right", "x")])


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_no_numbers_are_refused(score: float) -> None:
    true, false = torch.tensor([1.0, score, 3.0]), torch.tensor([0.0, 1.0])
    for scores in ((true, false), (false, true)):
        with pytest.raises(InputError, match="^1 of 5 scores is not a finite number"):
            classify(*scores, relations(*map(len, scores)), None)
        with pytest.raises(InputError, match="^1 of 5 scores is not a finite number"):
            choose_thresholds(*scores, relations(*map(len, scores)))
