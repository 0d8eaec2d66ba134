from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emugraph.losses import (
    EMULoss,
    binary_cross_entropy,
    cross_entropy,
    emu_objective,
    label_smoothing,
    margin_ranking,
    power_penalty,
    self_adversarial,
    unbounded_label_smoothing,
)

SCORES = st.lists(st.floats(-5, 5), min_size=2, max_size=6)


def log_softmax(scores: list[float]) -> list[float]:
    total = math.fsum(math.exp(s) for s in scores)
    return [s - math.log(total) for s in scores]


def weighted(scores: list[float], labels: list[float]) -> float:
    """Cross entropy with any labels, from its definition."""
    return -sum(y * p for y, p in zip(labels, log_softmax(scores), strict=True))


def tensors(scores: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(scores[:1], dtype=torch.float64), torch.tensor([scores[1:]], dtype=torch.float64)


@given(SCORES)
def test_cross_entropy_from_its_definition(scores: list[float]) -> None:
    labels = [1.0] + [0.0] * (len(scores) - 1)
    assert cross_entropy(*tensors(scores)).item() == pytest.approx(weighted(scores, labels))


@given(SCORES, st.floats(0, 1))
def test_eq_3_from_its_definition(scores: list[float], beta: float) -> None:
    c = len(scores)
    labels = [1 - beta + beta / c] + [beta / c] * (c - 1)
    assert sum(labels) == pytest.approx(1)
    assert label_smoothing(*tensors(scores), beta).item() == pytest.approx(weighted(scores, labels), abs=1e-9)


@given(SCORES, st.floats(0, 2))
def test_eq_4_from_its_definition(scores: list[float], beta: float) -> None:
    labels = [1.0] + [beta] * (len(scores) - 1)
    assert unbounded_label_smoothing(*tensors(scores), beta).item() == pytest.approx(weighted(scores, labels), abs=1e-9)


@given(SCORES, SCORES)
def test_eq_5_is_the_sum_of_its_terms(mutated: list[float], plain: list[float]) -> None:
    positive, mutated_scores = tensors(mutated)
    plain_scores = tensors(plain)[1]
    k = mutated_scores.shape[1]
    first = unbounded_label_smoothing(positive, mutated_scores, 0.5).item()
    second = cross_entropy(positive, plain_scores).item()
    whole = emu_objective(positive, mutated_scores, plain_scores, beta=0.5, alpha=0.25)
    assert whole.item() == pytest.approx(first / k + 0.25 * second)
    undivided = EMULoss(beta=0.5, alpha=0.25, divide_by_negatives=False)(positive, mutated_scores, plain_scores)
    assert undivided.item() == pytest.approx(first + 0.25 * second)


def test_gradient_of_eq_4() -> None:
    beta, scores = 0.53, torch.randn(1, 9, dtype=torch.float64, requires_grad=True)
    unbounded_label_smoothing(scores[:, 0], scores[:, 1:], beta).backward()
    labels = torch.tensor([[1.0] + [beta] * 8], dtype=torch.float64)
    expected = (1 + beta * 8) * torch.softmax(scores.detach(), dim=1) - labels
    assert torch.allclose(scores.grad, expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("beta", [0.1, 0.53, 0.9])
def test_free_scores_descend_to_a_gap_of_minus_log_beta(beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 17, generator=generator, dtype=torch.float64, requires_grad=True)
    for _ in range(4000):
        (gradient,) = torch.autograd.grad(unbounded_label_smoothing(scores[:, 0], scores[:, 1:], beta), scores)
        scores.data -= 1.0 * gradient
    gaps = scores[:, :1] - scores[:, 1:]
    assert torch.allclose(gaps, torch.full_like(gaps, -math.log(beta)), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e3, 1e4])
def test_safe_with_many_negatives_and_large_scores(dtype: torch.dtype, size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = (size + torch.randn(4, 4097, generator=generator)).to(dtype)
    exact = scores.double()
    for loss in (
        lambda p, n: cross_entropy(p, n),
        lambda p, n: unbounded_label_smoothing(p, n, 0.53) / 4096,
        lambda p, n: label_smoothing(p, n, 0.1),
        lambda p, n: emu_objective(p, n, n, beta=0.53, alpha=0.11),
    ):
        leaf = scores.clone().requires_grad_()
        value = loss(leaf[:, 0], leaf[:, 1:])
        assert value.item() == pytest.approx(loss(exact[:, 0], exact[:, 1:]).item(), rel=2e-3, abs=2e-3)
        value.backward()
        assert torch.isfinite(leaf.grad).all()  # type: ignore[arg-type]


def test_other_losses_by_hand() -> None:
    positive, negatives = torch.tensor([1.0]), torch.tensor([[0.0, 2.0]])

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    assert margin_ranking(positive, negatives, margin=0.5).item() == pytest.approx((0 + 1.5) / 2)
    expected = softplus(-1) + (softplus(0) + softplus(2)) / 2
    assert binary_cross_entropy(positive, negatives).item() == pytest.approx(expected)
    offset = softplus(-2) + (softplus(1) + softplus(3)) / 2
    assert binary_cross_entropy(positive, negatives, margin=1).item() == pytest.approx(offset)
    smoothed = expected - 0.25 * (0 + 2) / 2
    assert binary_cross_entropy(positive, negatives, beta=0.25).item() == pytest.approx(smoothed)
    weight = math.exp(1) / (1 + math.exp(1))  # softmax of 0.5 * (0, 2), the second
    pushed = (1 - weight) * softplus(3) + weight * softplus(5)
    assert self_adversarial(positive, negatives, margin=3, temperature=0.5).item() == pytest.approx(
        (softplus(-4) + pushed) / 2
    )


def test_weights_of_self_adversarial_have_no_gradient() -> None:
    negatives = torch.tensor([[0.0, 2.0]], requires_grad=True)
    self_adversarial(torch.tensor([1.0]), negatives, margin=0.0, temperature=1.0).backward()
    weights = torch.softmax(negatives.detach(), dim=1)
    assert torch.allclose(negatives.grad, weights * torch.sigmoid(negatives.detach()) / 2)  # type: ignore[arg-type]


def test_power_penalty_by_hand() -> None:
    assert power_penalty(torch.tensor([[1.0, -2.0], [0.0, 3.0]]), 3).item() == pytest.approx((1 + 8 + 27) / 2)
