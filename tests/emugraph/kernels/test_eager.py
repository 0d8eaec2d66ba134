from __future__ import annotations

import pytest
import torch
from torch import Tensor

from emugraph.kernels import KINDS, eager

distances = pytest.mark.parametrize("distance", KINDS)


def rows(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


@distances
def test_gradients(distance: str) -> None:
    q, e, positive = rows(2, 6), rows(3, 6), rows(2, 6).detach().neg().requires_grad_()
    units = 3 if distance == "modulus" else 6
    mask = torch.rand(3, units) < 0.5
    index = torch.tensor([[0, 2, 2], [1, 0, 1]])
    assert torch.autograd.gradcheck(lambda q, e: eager.pairwise(q, e, distance), (q, e))
    assert torch.autograd.gradcheck(lambda q, e: eager.gathered(q, e, index, distance), (q, e))
    assert torch.autograd.gradcheck(lambda *x: eager.pairwise_masked(*x, mask, distance, 1), (q, e, positive))
    assert torch.autograd.gradcheck(
        lambda q, e, positive: eager.gathered_masked(q, e, index, positive, mask, distance), (q, e, positive)
    )
    weight = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *x: eager.pairwise_mixed(*x, weight, distance), (q, e, positive))


@distances
@pytest.mark.parametrize("chunk", [1, 20, 100])
def test_pieces_make_no_difference(distance: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, e, positive = rows(5, 6), rows(7, 6), rows(5, 6)
    units = 3 if distance == "modulus" else 6
    mask = torch.rand(7, units) < 0.5
    index, weight = torch.randint(7, (5, 7)), torch.rand(7, dtype=torch.float64)

    def run() -> list[Tensor]:
        return [
            eager.pairwise(q, e, distance),
            *eager.pairwise_masked(q, e, positive, mask, distance, 1),
            *eager.pairwise_mixed(q, e, positive, weight, distance),
            eager.gathered(q, e, index, distance),
            *eager.gathered_masked(q, e, index, positive, mask, distance),
        ]

    whole = run()
    monkeypatch.setattr(eager, "CHUNK", chunk)
    with torch.no_grad():
        for one, other in zip(whole, run(), strict=True):
            torch.testing.assert_close(other, one.detach())


def test_slices() -> None:
    assert eager.slices(5, eager.CHUNK, whole=False) == [slice(i, i + 1) for i in range(5)]
    assert eager.slices(5, eager.CHUNK // 2, whole=False) == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert eager.slices(5, eager.CHUNK, whole=True) == [slice(0, 5)]
    assert eager.slices(0, 7, whole=False) != []


def test_unpack_mask_is_the_inverse() -> None:
    mask = torch.rand(3, 4, 130, generator=torch.Generator().manual_seed(0)) < 0.5
    assert torch.equal(eager.unpack_mask(eager.pack_mask(mask), 130).bool(), mask)
