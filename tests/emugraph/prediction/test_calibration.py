from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from emugraph import InputError, KnowledgeGraph, Vocabulary
from emugraph.models import DistMult
from emugraph.prediction.calibration import Calibration, fit, reliability
from emugraph.prediction.top_k import Predictor


class Answerer:
    """A predictor whose scores are given: scores (N, N) of tails for heads, of one relation."""

    def __new__(cls, kg: KnowledgeGraph, scores: Tensor) -> Predictor:  # type: ignore[misc]
        model = DistMult(kg.num_entities, kg.num_relations, kg.num_entities)
        model.entities.data.copy_(torch.eye(kg.num_entities))
        model.relations.data.fill_(1.0)
        model.embed_queries = lambda known, relations, side: (scores if side == "tail" else scores.T)[known]  # type: ignore
        return Predictor(model, kg)


def draw(n: int = 400, temperature: float = 1.0) -> tuple[KnowledgeGraph, Tensor]:
    """A graph whose valid and test tails are drawn by the softmax of known scores, so that shares are probabilities."""
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(n, n, generator=generator)
    shares = (scores / temperature).softmax(1)
    splits = []
    for _ in range(2):
        tails = torch.multinomial(shares, 10, replacement=False, generator=generator)
        heads = torch.arange(n).repeat_interleave(10)
        splits.append(torch.stack([heads, torch.zeros_like(heads), tails.flatten()], dim=1))
    labels = Vocabulary([f"e{i}" for i in range(n)], "entity")
    empty = torch.empty(0, 3, dtype=torch.int64)
    return KnowledgeGraph(labels, Vocabulary(["r"], "relation"), empty, *splits), scores


def test_probabilities_are_frequencies() -> None:
    kg, scores = draw()
    predictor = Answerer(kg, scores)
    fitted = fit(predictor, ("tail",))
    assert fitted.queries == 400
    shares = scores.log_softmax(1)
    promised = fitted.probabilities(shares)
    there = torch.zeros_like(scores, dtype=torch.bool)
    there[kg.test[:, 0], kg.test[:, 2]] = True
    for low, high in ((-9, -7), (-7, -6), (-6, -5), (-5, -4), (-4, -3), (-3, -2)):
        ours = (shares >= low) & (shares < high)
        actual = there[ours].double().mean().item()
        assert promised[ours].mean().item() == pytest.approx(actual, rel=0.25, abs=0.003)


def test_probabilities_ascend_and_stay_between_0_and_1() -> None:
    kg, scores = draw(100)
    fitted = fit(Answerer(kg, scores))
    p = fitted.probabilities(torch.linspace(-40, 5, 500))
    assert (p.diff() >= 0).all()
    assert 0 <= p.min() <= p.max() <= 1


def test_training_answers_are_no_candidates() -> None:
    """With one candidate left that validation has, all that is seen is found."""
    kg = KnowledgeGraph.from_triples([("a", "r", "a"), ("b", "r", "a")], valid=[("a", "r", "b"), ("b", "r", "b")])
    fitted = fit(Predictor(DistMult(2, 1, 4), kg), ("tail",))
    assert fitted.shares == pytest.approx([-0.01])
    assert (fitted.values, fitted.queries) == ([1.0], 2)


def one_query(scores: list[float]) -> Predictor:
    """A predictor of one query for tails, whose answer in validation is the second of the candidates."""
    n = len(scores)
    labels = Vocabulary([f"e{i}" for i in range(n)], "entity")
    empty = torch.empty(0, 3, dtype=torch.int64)
    kg = KnowledgeGraph(labels, Vocabulary(["r"], "relation"), empty, torch.tensor([[0, 0, 1]]), empty)
    return Answerer(kg, torch.tensor([scores] * n))


def test_shares_below_the_lowest_are_counted_together() -> None:
    # Shares 0, e^-40, e^-50, e^-60. Of the three below e^-30 one is an answer, and the one above is none: a model that
    # is no better than chance, 1 in 4.
    fitted = fit(one_query([0.0, -40.0, -50.0, -60.0]), ("tail",))
    assert fitted is not None
    assert (fitted.shares, fitted.values, fitted.queries) == ([pytest.approx(-0.01)], [0.25], 1)
    # The answer is above, and the others are no answers.
    fitted = fit(one_query([-40.0, 0.0, -50.0, -60.0]), ("tail",))
    assert fitted is not None
    assert (fitted.shares, fitted.values) == ([-30.0, pytest.approx(-0.01)], [0.0, 1.0])
    # Candidates below e^-30 move no point that others have: here about -10.00005 (none) and -0.00005 (the answer).
    with_and_without = [fit(one_query([-10.0, 0.0, *below]), ("tail",)) for below in ([], [-40.0] * 5)]
    assert with_and_without[0] == with_and_without[1]
    assert with_and_without[0] is not None
    assert with_and_without[0].shares == pytest.approx([-10.01, -0.01])
    # What training has is no candidate there either: three are left, and one is the answer.
    kg = one_query([0.0, -40.0, 0.0, -50.0]).kg
    kg = KnowledgeGraph(kg.entities, kg.relations, torch.tensor([[0, 0, 0]]), kg.valid, kg.test)
    fitted = fit(Answerer(kg, torch.tensor([[0.0, -40.0, 0.0, -50.0]] * 4)), ("tail",))
    assert fitted is not None
    assert fitted.values == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_scores_that_are_no_numbers_give_no_probabilities(score: float) -> None:
    assert fit(one_query([0.0, score, 0.0, 1.0]), ("tail",)) is None


def test_reliability_counts_what_is_promised_and_found(family: KnowledgeGraph) -> None:
    predictor = Predictor(DistMult(5, 2, 4), family)
    half = Calibration([0.0], [0.5], 1)  # promises the same for all
    metrics = reliability(predictor, half, "test", k=5)
    # (dan, sibling, ?): 5 new candidates, 1 is right; (ann, parent, ?): bob and cat are in training; then the heads:
    # (?, sibling, eve): 5 candidates; (?, parent, bob): ann is in training. bob is no find, training has it.
    actual, looked = 2, 5 + 3 + 5 + 4
    assert metrics["answers"] == looked
    assert metrics["bins"] == [
        {"from": 0.5, "to": 0.6, "answers": looked, "probability": 0.5, "observed": pytest.approx(actual / looked)}
    ]
    assert metrics["expected_calibration_error"] == pytest.approx(0.5 - actual / looked)
    assert metrics["brier"] == pytest.approx(0.25)


def test_certain_and_wrong_is_the_worst(family: KnowledgeGraph) -> None:
    metrics = reliability(Predictor(DistMult(5, 2, 4), family), Calibration([0.0], [1.0], 1), "test", k=5)
    assert metrics["brier"] == pytest.approx(15 / 17)
    assert metrics["bins"][0]["to"] == 1.0


def test_nothing_to_fit_on_or_to_compare_with() -> None:
    kg = KnowledgeGraph.from_triples([("a", "r", "b")], valid=[("a", "r", "b")])
    predictor = Predictor(DistMult(2, 1, 4), kg)
    assert fit(predictor) is None
    with pytest.raises(InputError, match="test split of graph is empty"):
        reliability(predictor, Calibration([0.0], [0.5], 1))


@pytest.mark.parametrize(
    ("shares", "values"),
    [([], []), ([0.0, -1.0], [0.1, 0.2]), ([0.0], [1.5]), ([0.0, 1.0], [0.1]), ([math.nan], [0.1])],
)
def test_points_that_are_no_calibration(shares: list[float], values: list[float]) -> None:
    with pytest.raises(ValueError, match="points|probabilities"):
        Calibration(shares, values, 1)
