"""Distances and rank counts, fused: nothing of size B x K x w is ever made on a CPU.

A C++ source is compiled on first use (:mod:`~emugraph.kernels.build`) and called through ctypes
(:mod:`~emugraph.kernels.native`). Where that cannot be, or the tensors are not float32 on a CPU, plain PyTorch gives
the same results (:mod:`~emugraph.kernels.eager`). ``EMUGRAPH_KERNELS=off`` in the environment forces the latter.

Distances between a query and a candidate of width ``w``; a score is minus the distance:

- ``"l1"``: the sum of absolute differences (TransE), ``w`` units;
- ``"l2"``: the root of the sum of squared differences (TransE), ``w`` units;
- ``"modulus"``: the sum of the moduli of complex differences (RotatE), ``w / 2`` units; the first half of a row holds
  real parts, the second half imaginary parts.

Where a distance has a kink, at a difference of exactly 0, the gradient is 0.
"""

from __future__ import annotations

import os
from types import ModuleType

import torch
from torch import Tensor

from emugraph.errors import InputError, nearest
from emugraph.kernels import build, eager, native

__all__ = [
    "DISTANCES",
    "compiled",
    "count_better",
    "gathered",
    "gathered_masked",
    "pack_mask",
    "pairwise",
    "pairwise_masked",
    "prepare",
    "status",
]

DISTANCES = ("l1", "l2", "modulus")


def pairwise(q: Tensor, e: Tensor, distance: str) -> Tensor:
    """Scores of all queries with all candidates.

    Args:
        q: queries ``(B, w)``.
        e: candidates ``(K, w)``, shared by all queries.
        distance: one of ``DISTANCES``.

    Returns:
        Scores ``(B, K)``, differentiable (once) by ``q`` and ``e``.

    Raises:
        InputError: shapes or the distance's name do not fit.
    """
    _check(distance, q, e)
    return _form(q, e).pairwise(q, e, distance)


def pairwise_masked(q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, distance: str) -> tuple[Tensor, Tensor]:
    """Scores of all queries with all candidates, plain and mutated (Eq. 2), in one pass over the candidates.

    Candidate ``k`` takes the units of each query's true entity where ``mask[k]`` is 1. The distance splits over units,
    so that the mutated score is minus the sum (for ``"l2"``, its root) of ``mask * phi(q, positive)`` and
    ``(1 - mask) * phi(q, e)``, where ``phi`` is what a unit adds.

    Args:
        q: queries ``(B, w)``.
        e: candidates ``(K, w)``, shared by all queries.
        positive: the true entity of each query ``(B, w)``.
        mask: ``(K, u)`` for ``u`` units: bool, uint8 (0 or 1) or floats in [0, 1], which weight the units' terms.
        distance: one of ``DISTANCES``.

    Returns:
        ``(plain, mutated)``, each ``(B, K)``, differentiable (once) by ``q``, ``e`` and ``positive``. One that is left
        out of the loss costs nothing in the backward pass.

    Raises:
        InputError: shapes or the distance's name do not fit.
    """
    units = _check(distance, q, e)
    if positive.shape != q.shape or mask.shape != (len(e), units):
        raise InputError(
            f"positive must be {tuple(q.shape)} and mask {(len(e), units)}, "
            f"got {tuple(positive.shape)} and {tuple(mask.shape)}"
        )
    return _form(q, e, positive).pairwise_masked(q, e, positive, mask.detach(), distance)


def gathered(q: Tensor, table: Tensor, index: Tensor, distance: str) -> Tensor:
    """Scores of each query with its own candidates, gathered from a table inside the kernel.

    Args:
        q: queries ``(B, w)``.
        table: candidates ``(N, w)``.
        index: rows of the table ``(B, K)``, int64.
        distance: one of ``DISTANCES``.

    Returns:
        Scores ``(B, K)``, differentiable (once) by ``q`` and ``table``; the table's gradient is dense.

    Raises:
        InputError: shapes or the distance's name do not fit.
        IndexError: an index lies outside the table.
    """
    _check_gathered(distance, q, table, index)
    return _form(q, table).gathered(q, table, index, distance)


def gathered_masked(
    q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, distance: str
) -> tuple[Tensor, Tensor]:
    """Scores of each query with its own candidates, plain and mutated (Eq. 2); see :func:`pairwise_masked`.

    Args:
        q: queries ``(B, w)``.
        table: candidates ``(N, w)``.
        index: rows of the table ``(B, K)``, int64.
        positive: the true entity of each query ``(B, w)``.
        mask: ``(B, K, u)``, or ``(K, u)`` for all queries: bool, uint8 (0 or 1), floats in [0, 1], or what
            :func:`pack_mask` makes of the first two, which is what the kernel reads.
        distance: one of ``DISTANCES``.

    Returns:
        ``(plain, mutated)``, each ``(B, K)``, differentiable (once) by ``q``, ``table`` and ``positive``.

    Raises:
        InputError: shapes or the distance's name do not fit.
        IndexError: an index lies outside the table.
    """
    units = _check_gathered(distance, q, table, index)
    shared = (index.shape[1], -(-units // 64) if mask.dtype == torch.int64 else units)
    if positive.shape != q.shape or mask.shape not in (shared, (len(q), *shared)):
        raise InputError(
            f"positive must be {tuple(q.shape)} and mask {(len(q), *shared)} or {shared}, "
            f"got {tuple(positive.shape)} and {tuple(mask.shape)}"
        )
    return _form(q, table, positive).gathered_masked(q, table, index, positive, mask.detach(), distance)


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
    return _form(mask).pack_mask(mask)


def count_better(scores: Tensor, true_scores: Tensor) -> tuple[Tensor, Tensor]:
    """Count, row by row, the scores that beat the true one and those that it beats.

    Args:
        scores: ``(B, N)``.
        true_scores: ``(B,)``.

    Returns:
        ``(greater, less)``, each ``(B,)`` int64: entries of row ``b`` strictly greater and strictly less than
        ``true_scores[b]``. A NaN is neither. No gradient.

    Raises:
        InputError: the shapes do not fit.
    """
    if scores.dim() != 2 or true_scores.shape != scores.shape[:1]:
        raise InputError(
            f"scores must be (B, N) and true_scores (B,), got {tuple(scores.shape)} and {tuple(true_scores.shape)}"
        )
    return _form(scores, true_scores).count_better(scores.detach(), true_scores.detach())


def compiled() -> bool:
    """Whether compiled kernels serve float32 on a CPU; compiles them if that has not been tried yet."""
    return not _switched_off() and native.available()


def prepare() -> float | None:
    """Compile the kernels now rather than at their first use.

    Returns:
        The seconds it took, or None when there was nothing to compile: loaded already or from the cache, switched off,
        or not possible (then said once in a warning).
    """
    if _switched_off() or build.loaded():
        return None
    return build.library().seconds


def status() -> str:
    """What computes float32 on a CPU, and why, in one line; compiles the kernels if that has not been tried yet."""
    if _switched_off():
        return "PyTorch (EMUGRAPH_KERNELS=off)"
    library = build.library()
    return f"PyTorch ({library.reason})" if library.handle is None else f"compiled ({library.reason})"


def _form(*tensors: Tensor) -> ModuleType:
    """The module that serves these tensors."""
    known = (torch.float32, torch.bool, torch.uint8)
    fits = all(t.device.type == "cpu" and t.dtype in known and t.numel() for t in tensors)
    return native if fits and compiled() else eager


def _switched_off() -> bool:
    return os.environ.get("EMUGRAPH_KERNELS", "").casefold() in {"off", "0", "false", "no"}


def _check(distance: str, q: Tensor, e: Tensor) -> int:
    """Refuse what does not fit, and give the number of units."""
    if distance not in DISTANCES:
        raise InputError(f"unknown distance {distance!r}; known: {', '.join(DISTANCES)}.{nearest(distance, DISTANCES)}")
    if q.dim() != 2 or e.dim() != 2 or q.shape[1] != e.shape[1]:
        raise InputError(f"queries and candidates must be (B, w) and (K, w), got {tuple(q.shape)} and {tuple(e.shape)}")
    if distance != "modulus":
        return q.shape[1]
    if q.shape[1] % 2:
        raise InputError(f"a complex row needs an even width: real parts, then imaginary parts; got {q.shape[1]}")
    return q.shape[1] // 2


def _check_gathered(distance: str, q: Tensor, table: Tensor, index: Tensor) -> int:
    units = _check(distance, q, table)
    if index.dim() != 2 or len(index) != len(q) or index.dtype != torch.int64:
        raise InputError(f"index must be ({len(q)}, K) of int64, got {tuple(index.shape)} of {index.dtype}")
    return units
