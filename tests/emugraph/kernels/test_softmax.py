"""The softmax loss of both forms against a slow loop in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emugraph import kernels
from emugraph.errors import InputError


def slow(scores: torch.Tensor, label: float, gradients: torch.Tensor) -> tuple[list[float], list[list[float]]]:
    """Losses and gradients, row by row; the positive is the first of a row's scores."""
    losses, all_gradients = [], []
    for row, gradient in zip(scores.double().tolist(), gradients.double().tolist(), strict=True):
        most = max(row)
        log_sum = most + math.log(math.fsum(math.exp(score - most) for score in row))
        labels = [1.0] + [label] * (len(row) - 1)
        losses.append(math.fsum(y * (log_sum - score) for y, score in zip(labels, row, strict=True)))
        total = math.fsum(labels)
        all_gradients.append(
            [gradient * (total * math.exp(score - log_sum) - y) for y, score in zip(labels, row, strict=True)]
        )
    return losses, all_gradients


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    B=st.integers(1, 9),
    K=st.integers(1, 150),
    label=st.sampled_from([0.0, 0.1, 0.53, 1.0]),
    spread=st.sampled_from([0.1, 3.0, 40.0]),
    offset=st.sampled_from([-1e4, 0.0, 300.0]),
    seed=st.integers(0, 2**31),
)
def test_against_the_slow_loop(
    form: str, B: int, K: int, label: float, spread: float, offset: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = offset + spread * torch.randn(B, K + 1, generator=generator)
    gradients = torch.rand(B, generator=generator)
    positive, negatives = scores[:, 0].clone().requires_grad_(), scores[:, 1:].clone().requires_grad_()
    actual = kernels.softmax_loss(positive, negatives, label)
    actual.backward(gradients)
    losses, wanted = slow(scores, label, gradients)
    # The compiled form adds up differences of scores; PyTorch's logsumexp rounds as the scores themselves do.
    size = 5 * spread + (abs(offset) if form == "eager" else 0)
    labels = 1 + label * K
    assert actual.tolist() == pytest.approx(losses, rel=2e-6, abs=2e-7 * labels * max(1, size))
    by_scores = torch.cat([positive.grad[:, None], negatives.grad], dim=1)  # type: ignore[index, list-item]
    assert (by_scores - torch.tensor(wanted)).abs().max().item() < 2e-7 * labels * max(10, size)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("place", [0, 3, 17, 20])
def test_nan_stays_in_its_row(place: int) -> None:
    scores = torch.zeros(3, 21)
    scores[1, place] = math.nan
    negatives = scores[:, 1:].clone().requires_grad_()
    losses = kernels.softmax_loss(scores[:, 0], negatives, 0.5)
    losses.sum().backward()
    assert losses.isnan().tolist() == [False, True, False]
    assert negatives.grad.isnan().any(dim=1).tolist() == [False, True, False]  # type: ignore[union-attr]


@pytest.mark.usefixtures("form")
def test_far_below_the_largest() -> None:
    negatives = torch.tensor([[-math.inf, -1e30, -200.0, 0.0]], requires_grad=True)
    loss = kernels.softmax_loss(torch.zeros(1), negatives)
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert negatives.grad.tolist()[0] == pytest.approx([0, 0, 0, 0.5], abs=1e-30)  # type: ignore[union-attr]


def test_threads_change_no_bit() -> None:
    scores = torch.randn(50, 70, generator=torch.Generator().manual_seed(0))

    def run(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        negatives = scores[:, 1:].clone().requires_grad_()
        losses = kernels.softmax_loss(scores[:, 0], negatives, 0.5)
        losses.sum().backward()
        return [losses.detach(), negatives.grad]  # type: ignore[list-item]

    threads = torch.get_num_threads()
    try:
        one, three = run(1), run(3)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(x, y) for x, y in zip(one, three, strict=True))


def test_refused() -> None:
    with pytest.raises(InputError, match=r"\(B,\) and negatives \(B, K\), got \(2,\) and \(3, 4\)"):
        kernels.softmax_loss(torch.zeros(2), torch.zeros(3, 4))
