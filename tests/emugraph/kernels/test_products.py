"""Products of bfloat16 factors: against float64 products of factors that PyTorch rounded."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from emugraph import kernels
from emugraph.kernels.build import library


@contextmanager
def medium() -> Iterator[None]:
    if not kernels.compiled() or not library().bfloat16:
        pytest.skip("the processor has no products of bfloat16")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().double()


@given(st.integers(1, 14), st.integers(1, 150), st.integers(1, 70), st.integers(0, 2**31))
def test_factors_are_rounded_and_sums_are_not(queries: int, candidates: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q, e = (torch.randn(n, width, generator=generator) for n in (queries, candidates))
    exact = rounded(q) @ rounded(e).T
    with medium():
        actual = kernels.pairwise(q, e, "dot")
    torch.testing.assert_close(actual.double(), exact, rtol=0, atol=1e-6 * width)


def test_neither_gradients_nor_distances_are_touched() -> None:
    q, e = torch.randn(40, 33), torch.randn(70, 33)
    exact = q.double() @ e.double().T
    distance = -torch.cdist(q.double(), e.double(), p=1)
    with medium():
        actual, distances = kernels.pairwise(q.clone().requires_grad_(), e, "dot"), kernels.pairwise(q, e, "l1")
    torch.testing.assert_close(actual.double(), exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(distances.double(), distance, rtol=0, atol=1e-4)


def test_rows_that_are_alike_score_alike() -> None:
    q, e = torch.randn(40, 100), torch.randn(1, 100).expand(300, 100)
    with medium():
        scores = kernels.pairwise(q, e, "dot")
    assert (scores == scores[:, :1]).all()


def test_full_precision_is_the_default() -> None:
    q, e = torch.randn(40, 33), torch.randn(70, 33)
    exact = q.double() @ e.double().T
    torch.testing.assert_close(kernels.pairwise(q, e, "dot").double(), exact, rtol=0, atol=1e-4)
