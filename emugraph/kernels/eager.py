"""The kernels in plain PyTorch: for CUDA, for float64, and where there is no C++ compiler.

Each public function of :mod:`emugraph.kernels` has its twin here, with the same arguments and the same results. What
is larger than ``CHUNK`` elements is done in pieces when no gradient is needed; a gradient keeps all pieces anyway.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from emugraph._renamed import names_of

CHUNK = 1 << 22  # elements of the largest temporary tensor without gradients: 16 MB of float32


def components(q: Tensor, e: Tensor, kind: str) -> Tensor:
    """What a score adds up, unit by unit: shapes broadcast, the last dimension is the number of units.

    For ``"l2"`` these are the squares, before the root. At zero a distance's gradient is zero.
    """
    if kind == "dot":
        return q * e
    difference = q - e
    if kind == "l1":
        return difference.abs()
    if kind == "l2":
        return difference.square()
    return _Modulus.apply(*difference.chunk(2, dim=-1))


class _Modulus(torch.autograd.Function):
    """``torch.hypot``, whose own gradient at zero is not a number; twice as fast as complex numbers."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, imaginary: Tensor) -> Tensor:
        modulus = torch.hypot(real, imaginary)
        ctx.save_for_backward(real, imaginary, modulus)
        return modulus

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        real, imaginary, modulus = ctx.saved_tensors
        scaled = gradient / modulus.clamp_min(torch.finfo(modulus.dtype).tiny ** 0.5)  # finite, then times 0
        return scaled * real, scaled * imaginary


def link(total: Tensor, kind: str) -> Tensor:
    """The score for a sum of components: minus the sum, or minus its root, whose gradient at zero is zero here."""
    if kind == "dot":
        return total
    if kind != "l2":
        return -total
    zero = total == 0
    return -torch.where(zero, total, total.masked_fill(zero, 1).sqrt())


def pairwise(q: Tensor, e: Tensor, kind: str) -> Tensor:
    if kind == "dot":
        return q @ e.T
    if kind == "l1":
        return -torch.cdist(q, e, p=1.0)
    if kind == "l2":
        return -torch.cdist(q, e, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")

    def block(queries: slice, candidates: slice) -> Tensor:
        return link(components(q[queries, None], e[candidates], kind).sum(-1), kind)

    whole = needs_gradient(q, e)
    columns = slices(len(e), q.shape[1], whole)
    rows = slices(len(q), q.shape[1] * len(range(len(e))[columns[0]]), whole)
    return torch.cat([torch.cat([block(b, k) for k in columns], dim=1) for b in rows])


def pairwise_masked(
    q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, mask_group: int
) -> tuple[Tensor, Tensor]:
    phi_positive = components(q, positive, kind)  # (B, u)
    mask = floats(spread_masks(mask, mask_group, len(e)), phi_positive)
    taken = phi_positive @ mask.T  # (B, K)
    if kind == "dot":
        return q @ e.T, taken + q @ (e * (1 - mask)).T

    def block(queries: slice) -> tuple[Tensor, Tensor]:
        phi = components(q[queries, None], e, kind)  # (b, K, u)
        kept = torch.einsum("bku,ku->bk", phi, 1 - mask)
        return link(phi.sum(-1), kind), link(taken[queries] + kept, kind)

    pieces = [block(b) for b in slices(len(q), e.numel(), needs_gradient(q, e, positive))]
    plain, mutated = zip(*pieces, strict=True)
    return torch.cat(plain), torch.cat(mutated)


def pairwise_mixed(q: Tensor, e: Tensor, positive: Tensor, weight: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    def block(queries: slice) -> Tensor:
        mixed = torch.lerp(positive[queries, None], e, weight[:, None])  # (b, K, w)
        return link(components(q[queries, None], mixed, kind).sum(-1), kind)

    pieces = [block(b) for b in slices(len(q), e.numel(), needs_gradient(q, e, positive))]
    return pairwise(q, e, kind), torch.cat(pieces)


def gathered(q: Tensor, table: Tensor, index: Tensor, kind: str) -> Tensor:
    if kind == "dot" and len(table) <= index.shape[1] * q.shape[1]:  # smaller than the rows would be, gathered
        return (q @ table.T).gather(1, index)

    def block(queries: slice) -> Tensor:
        phi = components(q[queries, None], table[index[queries]], kind)  # (b, K, u)
        return link(phi.sum(-1), kind)

    return torch.cat([block(b) for b in slices(len(q), index.shape[1] * q.shape[1], needs_gradient(q, table))])


def gathered_masked(
    q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, kind: str
) -> tuple[Tensor, Tensor]:
    phi_positive = components(q, positive, kind)  # (B, u)
    mask = floats(mask, phi_positive)

    def block(queries: slice) -> tuple[Tensor, Tensor]:
        phi = components(q[queries, None], table[index[queries]], kind)  # (b, K, u)
        share = mask[queries] if mask.dim() == 3 else mask
        mixed = share * phi_positive[queries, None] + (1 - share) * phi
        return link(phi.sum(-1), kind), link(mixed.sum(-1), kind)

    whole = needs_gradient(q, table, positive)
    plain, mutated = zip(*[block(b) for b in slices(len(q), index.shape[1] * q.shape[1], whole)], strict=True)
    return torch.cat(plain), torch.cat(mutated)


def pack_mask(mask: Tensor) -> Tensor:
    *shape, units = mask.shape
    words = -(-units // 64)
    bits = mask.new_zeros(*shape, words * 64, dtype=torch.int64)
    bits[..., :units] = mask
    return (bits.unflatten(-1, (words, 64)) << torch.arange(64, device=mask.device)).sum(-1)


def spread_masks(mask: Tensor, mask_group: int, count: int) -> Tensor:
    """Masks ``(..., K, u)`` of K candidates from ``(..., K / mask_group, u)``, each for consecutive candidates."""
    return mask if mask_group == 1 else mask.repeat_interleave(min(mask_group, count), dim=-2)[..., :count, :]


def floats(mask: Tensor, phi: Tensor) -> Tensor:
    """A mask, packed or not, as zeros and ones of the type of what units add, ``(..., u)``."""
    return (unpack_mask(mask, phi.shape[-1]) if mask.dtype == torch.int64 else mask).to(phi.dtype)


def unpack_mask(packed: Tensor, units: int) -> Tensor:
    """The inverse of :func:`pack_mask`: bits ``(..., words)`` to zeros and ones ``(..., units)`` of int64."""
    bits = packed[..., None] >> torch.arange(64, device=packed.device)  # (..., words, 64)
    return (bits & 1).flatten(-2)[..., :units]


def count_better(scores: Tensor, true_scores: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
    scores, truth = scores if rows is None else scores[rows], true_scores[:, None]
    return (scores > truth).sum(1), (scores < truth).sum(1)


def softmax_loss(positive: Tensor, negatives: Tensor, label: float) -> Tensor:
    if positive.dtype.itemsize < 4:  # sums over many negatives want float32 at least
        positive, negatives = positive.float(), negatives.float()
    log_sum = torch.logsumexp(torch.cat([positive.unsqueeze(1), negatives], dim=1), dim=1)  # (B,)
    loss = log_sum - positive
    return loss + label * (log_sum.unsqueeze(1) - negatives).sum(dim=1) if label else loss


def slices(count: int, elements: int, whole: bool) -> list[slice]:
    """Consecutive slices of ``count`` things of so many elements each, ``CHUNK`` elements a slice; at least one."""
    step = max(1, count if whole else CHUNK // max(1, elements))
    return [slice(start, start + step) for start in range(0, max(1, count), step)]


def needs_gradient(*tensors: Tensor) -> bool:
    """Whether autograd records what happens to any of the tensors."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


__getattr__ = names_of(__name__)
