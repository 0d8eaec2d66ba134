"""Mixed scores (MIXUP) and their gradients in both forms, against a slow loop in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from emugraph import kernels
from emugraph.errors import InputError

DISTANCES = ("l1", "l2", "modulus")
kinds = pytest.mark.parametrize("kind", DISTANCES)


@dataclass
class Case:
    kind: str
    q: Tensor  # (B, w)
    e: Tensor  # (K, w)
    positive: Tensor  # (B, w)
    weight: Tensor  # (K,)
    plain_gradient: Tensor  # (B, K)
    mixed_gradient: Tensor  # (B, K)


def make_case(kind: str, B: int, K: int, u: int, seed: int, step: float = 1 / 64) -> Case:
    """Inputs on a grid, so that float32 has each difference, and its sign, exactly; on a coarse one many are 0."""
    generator = torch.Generator().manual_seed(seed)
    w = 2 * u if kind == "modulus" else u

    def rows(n: int) -> Tensor:
        return (torch.randn(n, w, generator=generator) / step).round() * step

    weight = torch.randint(17, (K,), generator=generator) / 16  # 0 and 1 among them
    gradients = torch.randn(2, B, K, generator=generator)
    return Case(kind, rows(B), rows(K), rows(B), weight, *gradients)


def slow(case: Case) -> tuple[np.ndarray, ...]:
    """Plain and mixed scores and the gradients by q, e and positive, one pair at a time, in float64."""
    q, e, positive, weight = (np.asarray(t, dtype=float) for t in (case.q, case.e, case.positive, case.weight))
    plain, mixed = np.zeros((len(q), len(e))), np.zeros((len(q), len(e)))
    dq, de, dpositive = np.zeros_like(q), np.zeros_like(e), np.zeros_like(positive)

    def distance(x: np.ndarray) -> tuple[float, np.ndarray]:
        """The distance and its derivatives by the difference; 0 where it has none."""
        if case.kind == "l1":
            return np.abs(x).sum(), np.sign(x)
        if case.kind == "l2":
            root = math.sqrt((x**2).sum())
            return root, x / (root or 1)
        lengths = np.sqrt((x.reshape(2, -1) ** 2).sum(0))
        return lengths.sum(), x / np.tile(np.where(lengths == 0, 1, lengths), 2)

    for b in range(len(q)):
        for k in range(len(e)):
            between = weight[k] * e[k] + (1 - weight[k]) * positive[b]
            length, slope = distance(q[b] - e[k])
            mixed_length, mixed_slope = distance(q[b] - between)
            plain[b, k], mixed[b, k] = -length, -mixed_length
            slope = slope * float(case.plain_gradient[b, k])
            mixed_slope = mixed_slope * float(case.mixed_gradient[b, k])
            dq[b] -= slope + mixed_slope
            de[k] += slope + weight[k] * mixed_slope
            dpositive[b] += (1 - weight[k]) * mixed_slope
    return plain, mixed, dq, de, dpositive


def close(actual: Tensor | None, expected: np.ndarray) -> None:
    assert actual is not None
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-5, atol=3e-6 * scale)


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


def compare(case: Case) -> None:
    plain_wanted, mixed_wanted, *gradients_wanted = slow(case)
    inputs = leaves(case.q, case.e, case.positive)
    plain, mixed = kernels.pairwise_mixed(*inputs, case.weight, case.kind)
    torch.autograd.backward((plain, mixed), (case.plain_gradient, case.mixed_gradient))
    close(plain, plain_wanted)
    close(mixed, mixed_wanted)
    for tensor, wanted in zip(inputs, gradients_wanted, strict=True):
        close(tensor.grad, wanted)


@pytest.mark.usefixtures("form")
class TestBothForms:
    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.builds(
            make_case,
            st.sampled_from(DISTANCES),
            B=st.integers(1, 12),
            K=st.integers(1, 70),
            u=st.integers(1, 40),
            seed=st.integers(0, 2**31),
            step=st.sampled_from([1 / 64, 1 / 2]),
        )
    )
    def test_against_the_slow_loop(self, case: Case) -> None:
        compare(case)

    @kinds
    @pytest.mark.parametrize(("B", "K"), [(150, 300), (301, 139)])
    def test_larger_than_a_patch(self, kind: str, B: int, K: int) -> None:
        """More queries, candidates and units than one tile, patch or range holds."""
        compare(make_case(kind, B, K, 37, seed=B))

    def test_by_hand(self) -> None:
        q, e, positive = torch.zeros(1, 2), torch.tensor([[4.0, 8.0]] * 2), torch.tensor([[-4.0, 0.0]])
        plain, mixed = kernels.pairwise_mixed(q, e, positive, torch.tensor([0.25, 1.0]), "l1")
        assert plain.tolist() == [[-12.0, -12.0]]
        assert mixed.tolist() == [[-4.0, -12.0]]  # (-2, 2), then the candidate itself

    @kinds
    def test_no_gradient_where_all_three_are_the_same(self, kind: str) -> None:
        inputs = leaves(*[torch.full((3, 10), 0.3)] * 3)
        _, mixed = kernels.pairwise_mixed(*inputs, torch.tensor([0.1, 0.37, 0.9]), kind)
        mixed.sum().backward()
        for tensor in inputs:
            assert tensor.grad.tolist() == torch.zeros(3, 10).tolist()
        assert mixed.abs().max() < 1e-15

    @kinds
    def test_scores_that_are_left_out_of_the_loss(self, kind: str) -> None:
        case = make_case(kind, 5, 7, 6, seed=1)
        q, e, positive = leaves(case.q, case.e, case.positive)
        plain, _ = kernels.pairwise_mixed(q, e, positive, case.weight, kind)
        plain.backward(case.plain_gradient)
        assert positive.grad is None
        case.mixed_gradient.zero_()
        _, _, dq, de, _ = slow(case)
        close(q.grad, dq)
        close(e.grad, de)

    @kinds
    def test_not_contiguous_expanded_and_a_weight_with_gradient(self, kind: str) -> None:
        case = make_case(kind, 5, 7, 6, seed=2)
        strided = [x.t().contiguous().t() for x in (case.q, case.e, case.positive)]
        weight = case.weight.repeat_interleave(2).requires_grad_()
        inputs = leaves(case.q, case.e, case.positive)
        for tensor in strided:
            tensor.requires_grad_()
        kernels.pairwise_mixed(*strided, weight[::2], kind)[1].sum().backward()
        kernels.pairwise_mixed(*inputs, case.weight, kind)[1].backward(torch.ones(5, 7))
        for tensor, wanted in zip(strided, inputs, strict=True):
            close(tensor.grad, wanted.grad.numpy())
        assert weight.grad is None

    @kinds
    @pytest.mark.parametrize(("B", "K", "u"), [(0, 3, 4), (3, 0, 4), (0, 0, 4), (2, 3, 0)])
    def test_nothing_to_do(self, kind: str, B: int, K: int, u: int) -> None:
        case = make_case(kind, B, K, u, seed=3)
        inputs = leaves(case.q, case.e, case.positive)
        plain, mixed = kernels.pairwise_mixed(*inputs, case.weight, kind)
        (plain.sum() + mixed.sum()).backward()
        assert plain.shape == mixed.shape == (B, K)
        assert not any(tensor.grad.any() for tensor in inputs)

    @kinds
    def test_nan_stays_where_it_is(self, kind: str) -> None:
        case = make_case(kind, 9, 40, 6, seed=4)
        case.q[2, 1] = case.e[33, -1] = case.positive[5, 0] = case.weight[7] = math.nan
        inputs = leaves(case.q, case.e, case.positive)
        _, mixed = kernels.pairwise_mixed(*inputs, case.weight, kind)
        wanted = torch.zeros(9, 40, dtype=torch.bool)
        wanted[[2, 5]] = wanted[:, [7, 33]] = True
        assert torch.equal(mixed.isnan(), wanted)

    @kinds
    def test_float64(self, kind: str) -> None:
        case = make_case(kind, 3, 5, 4, seed=5)
        result = kernels.pairwise_mixed(*(x.double() for x in (case.q, case.e, case.positive, case.weight)), kind)
        assert [scores.dtype for scores in result] == [torch.float64] * 2
        for scores, wanted in zip(result, slow(case), strict=False):
            close(scores, wanted)

    def test_refused(self) -> None:
        q, e, weight = torch.zeros(2, 4), torch.zeros(3, 4), torch.zeros(3)
        with pytest.raises(InputError, match=r'"dot" scores are not mixed here: .* torch\.lerp'):
            kernels.pairwise_mixed(q, e, q, weight, "dot")
        with pytest.raises(
            InputError, match=r"positive must be \(2, 4\) and weight \(3,\) of torch.float32, got \(3, 4\)"
        ):
            kernels.pairwise_mixed(q, e, e, weight, "l1")
        with pytest.raises(InputError, match=r"and \(2, 3\) of torch.float32"):
            kernels.pairwise_mixed(q, e, q, weight.expand(2, 3), "l1")
        with pytest.raises(InputError, match=r"\(3,\) of torch.float64"):
            kernels.pairwise_mixed(q, e, q, weight.double(), "l1")


@kinds
def test_threads_change_no_bit(kind: str) -> None:
    case = make_case(kind, 130, 200, 40, seed=6)

    def run(threads: int) -> list[Tensor]:
        torch.set_num_threads(threads)
        inputs = leaves(case.q, case.e, case.positive)
        _, mixed = kernels.pairwise_mixed(*inputs, case.weight, kind)
        return [mixed, *torch.autograd.grad(mixed, inputs, case.mixed_gradient)]

    threads = torch.get_num_threads()
    try:
        one, again, three = run(1), run(1), run(3)
    finally:
        torch.set_num_threads(threads)
    for result, repeated, shared in zip(one, again, three, strict=True):
        assert torch.equal(result, repeated)
        assert torch.equal(result, shared)


@kinds
def test_a_score_does_not_depend_on_the_batch_it_is_computed_in(kind: str) -> None:
    case = make_case(kind, 9, 100, 33, seed=7)
    _, together = kernels.pairwise_mixed(case.q, case.e, case.positive, case.weight, kind)
    _, alone = kernels.pairwise_mixed(case.q[5:6], case.e[70:71], case.positive[5:6], case.weight[70:71], kind)
    assert torch.equal(together[5:6, 70:71], alone)
