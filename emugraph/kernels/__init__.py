"""Scores and rank counts, fused: nothing of size B x K x w is ever made on a CPU.

C++ sources are compiled on first use (:mod:`~emugraph.kernels.build`) and called through ctypes
(:mod:`~emugraph.kernels.native`). Where that cannot be, or the tensors are not float32 on a CPU, plain PyTorch gives
the same results (:mod:`~emugraph.kernels.eager`). ``EMUGRAPH_KERNELS=off`` in the environment forces the latter.

Kinds of score of a query and a candidate of width ``w``, each a sum over ``u`` units:

- ``"l1"``: minus the sum of absolute differences (TransE), ``u = w``;
- ``"l2"``: minus the root of the sum of squared differences (TransE), ``u = w``;
- ``"modulus"``: minus the sum of the moduli of complex differences (RotatE), ``u = w / 2``; the first half of a row
  holds real parts, the second half imaginary parts;
- ``"dot"``: the sum of products (DistMult, ComplEx), ``u = w``.

Where a distance has a kink, at a difference of exactly 0, the gradient is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph._renamed import keyword
from emugraph.errors import InputError
from emugraph.kernels.checks import KINDS, check, check_gathered, check_masked, check_mixed, mask_width
from emugraph.kernels.dispatch import compiled, form, prepare, status
from emugraph.kernels.eager import spread_masks

__all__ = [
    "KINDS",
    "compiled",
    "count_better",
    "gathered",
    "gathered_masked",
    "pack_mask",
    "pairwise",
    "pairwise_masked",
    "pairwise_mixed",
    "prepare",
    "softmax_loss",
    "spread_masks",
    "status",
]


def pairwise(q: Tensor, e: Tensor, kind: str) -> Tensor:
    """Scores of all queries with all candidates.

    Args:
        q: queries ``(B, w)``.
        e: candidates ``(K, w)``, shared by all queries.
        kind: one of ``KINDS``.

    Returns:
        Scores ``(B, K)``, differentiable (once) by ``q`` and ``e``. Where no gradient is needed, those of ``"dot"``
        follow ``torch.set_float32_matmul_precision``: with "medium", factors are rounded to bfloat16 on a CPU that
        multiplies such numbers (AVX512-BF16); sums stay float32.

    Raises:
        InputError: shapes or the kind's name do not fit.
    """
    check(kind, q, e)
    return form(q, e).pairwise(q, e, kind)


@keyword("run", "mask_group")
def pairwise_masked(
    q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, *, mask_group: int = 1
) -> tuple[Tensor, Tensor]:
    """Scores of all queries with all candidates, plain and mutated (Eq. 2), in one pass over the candidates.

    Candidate ``k`` takes the units of each query's true entity where ``mask[k]`` is set. A score is a sum over units,
    so that the mutated score is the sum of ``phi(q, positive)`` where the mask is set and ``phi(q, e)`` where it is
    not, where ``phi`` is what a unit adds.

    Args:
        q: queries ``(B, w)``.
        e: candidates ``(K, w)``, shared by all queries.
        positive: the true entity of each query ``(B, w)``.
        mask: ``(ceil(K / mask_group), u)``, bool or uint8 (0 or 1), or what :func:`pack_mask` makes of them.
        kind: one of ``KINDS``.
        mask_group: how many consecutive candidates share a mask: with 16 or a multiple, mutated scores cost
            next to nothing.

    Returns:
        ``(plain, mutated)``, each ``(B, K)``, differentiable (once) by ``q``, ``e`` and ``positive``. One that is left
        out of the loss costs nothing in the backward pass.

    Raises:
        InputError: shapes or the kind's name do not fit.
    """
    units = check(kind, q, e)
    if mask_group < 1:
        raise InputError(f"mask_group is {mask_group}; a mask serves one candidate at least")
    check_masked(q, positive, mask, [(-(-len(e) // mask_group), mask_width(mask, units))])
    return form(q, e, positive).pairwise_masked(q, e, positive, mask, kind, mask_group)


def pairwise_mixed(q: Tensor, e: Tensor, positive: Tensor, weight: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Scores of all queries with all candidates, plain and mixed with each query's true entity (MIXUP).

    For query ``b``, candidate ``k`` is mixed into ``weight[k] * e[k] + (1 - weight[k]) * positive[b]``.

    Args:
        q: queries ``(B, w)``.
        e: candidates ``(K, w)``, shared by all queries.
        positive: the true entity of each query ``(B, w)``.
        weight: the candidate's share ``(K,)``, 0 to 1, of the type of ``q``.
        kind: one of ``KINDS`` but ``"dot"``: that is linear in the candidate, and its scores mix as candidates do.

    Returns:
        ``(plain, mixed)``, each ``(B, K)``, differentiable (once) by ``q``, ``e`` and ``positive``, not by ``weight``.
        One that is left out of the loss costs nothing in the backward pass.

    Raises:
        InputError: shapes, types or the kind's name do not fit.
    """
    check_mixed(kind, q, e, positive, weight)
    return form(q, e, positive, weight).pairwise_mixed(q, e, positive, weight.detach(), kind)


def gathered(q: Tensor, table: Tensor, index: Tensor, kind: str) -> Tensor:
    """Scores of each query with its own candidates, gathered from a table inside the kernel.

    Args:
        q: queries ``(B, w)``.
        table: candidates ``(N, w)``.
        index: rows of the table ``(B, K)``, int64.
        kind: one of ``KINDS``.

    Returns:
        Scores ``(B, K)``, differentiable (once) by ``q`` and ``table``; the table's gradient is dense.

    Raises:
        InputError: shapes or the kind's name do not fit.
        IndexError: an index lies outside the table.
    """
    check_gathered(kind, q, table, index)
    return form(q, table).gathered(q, table, index, kind)


def gathered_masked(
    q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, kind: str
) -> tuple[Tensor, Tensor]:
    """Scores of each query with its own candidates, plain and mutated (Eq. 2); see :func:`pairwise_masked`.

    Args:
        q: queries ``(B, w)``.
        table: candidates ``(N, w)``.
        index: rows of the table ``(B, K)``, int64.
        positive: the true entity of each query ``(B, w)``.
        mask: ``(B, K, u)``, or ``(K, u)`` for all queries: bool or uint8 (0 or 1), or what :func:`pack_mask` makes
            of them, which is what the kernel reads.
        kind: one of ``KINDS``.

    Returns:
        ``(plain, mutated)``, each ``(B, K)``, differentiable (once) by ``q``, ``table`` and ``positive``.

    Raises:
        InputError: shapes or the kind's name do not fit.
        IndexError: an index lies outside the table.
    """
    units = check_gathered(kind, q, table, index)
    shared = (index.shape[1], mask_width(mask, units))
    check_masked(q, positive, mask, [(len(q), *shared), shared])
    return form(q, table, positive).gathered_masked(q, table, index, positive, mask, kind)


def pack_mask(mask: Tensor) -> Tensor:
    """Pack a binary mask into bits, an eighth of its memory.

    Args:
        mask: ``(..., u)``, bool or uint8 (0 or 1).

    Returns:
        ``(..., ceil(u / 64))`` int64: unit ``i`` is bit ``i % 64`` of word ``i // 64``, counted from the lowest.

    Raises:
        InputError: the mask is neither bool nor uint8.
    """
    if mask.dtype not in (torch.bool, torch.uint8):
        raise InputError(f"only a mask of bool or uint8 can be packed, got {mask.dtype}")
    return form(mask).pack_mask(mask)


def softmax_loss(positive: Tensor, negatives: Tensor, label: float = 0.0) -> Tensor:
    r"""Cross entropy of the softmax over each positive and its negatives.

    .. math:: -\log p_+ - y \sum_k \log p_k

    Large scores cancel, each against the partition, before anything is summed.

    Args:
        positive: scores ``(B,)``.
        negatives: scores ``(B, K)``.
        label: y, that of each negative; the positive's is 1.

    Returns:
        Losses ``(B,)``, differentiable (once on the compiled path), of float32 at least.

    Raises:
        InputError: the shapes do not fit.
    """
    if negatives.dim() != 2 or positive.shape != negatives.shape[:1]:
        raise InputError(
            f"positive must be (B,) and negatives (B, K), got {tuple(positive.shape)} and {tuple(negatives.shape)}"
        )
    return form(positive, negatives).softmax_loss(positive, negatives, label)


def count_better(scores: Tensor, true_scores: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Count, row by row, the scores that beat the true one and those that it beats.

    Args:
        scores: ``(B, N)``.
        true_scores: ``(n,)``.
        rows: the row of scores that each true one belongs to, ``(n,)`` int64; None for its own, where n is B.

    Returns:
        ``(greater, less)``, each ``(n,)`` int64: entries of the row strictly greater and strictly less than
        ``true_scores[i]``. A NaN is neither. No gradient.

    Raises:
        InputError: the shapes do not fit.
        IndexError: a row lies outside the scores.
    """
    expected = scores.shape[:1] if rows is None else rows.shape
    if scores.dim() != 2 or true_scores.dim() != 1 or true_scores.shape != expected:
        raise InputError(
            f"scores must be (B, N) and true_scores (B,), got {tuple(scores.shape)} and {tuple(true_scores.shape)}"
            if rows is None
            else f"true_scores and rows must both be (n,), got {tuple(true_scores.shape)} and {tuple(rows.shape)}"
        )
    return form(scores, true_scores).count_better(scores.detach(), true_scores.detach(), rows)
