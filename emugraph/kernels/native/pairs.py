"""Scores of queries and candidates, plain, mutated and mixed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from emugraph.kernels.build import library
from emugraph.kernels.eager import needs_gradient, spread_masks
from emugraph.kernels.native.library import call
from emugraph.system import matmul_precision

CODES = {"l1": 0, "l2": 1, "modulus": 2, "dot": 3}  # enum Score in terms.h


def pairwise(q: Tensor, e: Tensor, kind: str) -> Tensor:
    if kind == "dot" and rounds_factors() and not needs_gradient(q, e):
        q, e = q.contiguous(), e.contiguous()
        scores = q.new_empty(len(q), len(e))  # (B, K)
        call("emugraph_products_bfloat16", q, e, len(q), len(e), q.shape[1], scores)
        return scores
    return _Pairwise.apply(q, e, kind)


def rounds_factors() -> bool:
    """Whether products may have bfloat16 factors, and the processor has such products."""
    return matmul_precision().endswith(("medium", "cpu bf16")) and library().bfloat16


def pairwise_masked(
    q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, mask_group: int
) -> tuple[Tensor, Tensor]:
    if mask_group % library().lanes:
        mask, mask_group = spread_masks(mask, mask_group, len(e)), 1
    return _PairwiseMasked.apply(q, e, positive, pack_mask(mask), kind, mask_group)


def pairwise_mixed(q: Tensor, e: Tensor, positive: Tensor, weight: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    return _Pairwise.apply(q, e, kind), _PairwiseMixed.apply(q, e, positive, weight, kind)


def gathered(q: Tensor, table: Tensor, index: Tensor, kind: str) -> Tensor:
    return _Gathered.apply(q, table, index, kind)


def gathered_masked(
    q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, kind: str
) -> tuple[Tensor, Tensor]:
    return _GatheredMasked.apply(q, table, index, positive, pack_mask(mask), kind)


def pack_mask(mask: Tensor) -> Tensor:
    if mask.dtype == torch.int64:  # packed already
        return mask
    mask = mask.contiguous()
    *shape, units = mask.shape
    packed = mask.new_empty(*shape, -(-units // 64), dtype=torch.int64)
    call("emugraph_pack_mask", mask, mask.numel() // units, units, packed)
    return packed


class _Pairwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, e: Tensor, kind: str) -> Tensor:
        q, e = q.contiguous(), e.contiguous()
        scores = q.new_empty(len(q), len(e))  # (B, K)
        call("emugraph_pairwise", CODES[kind], q, e, None, None, 1, *_sizes(q, e, kind), scores, None)
        _remember(ctx, kind, (q, e), (scores,))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (q, e), roots = _recall(ctx, 2)
        dq, de, _ = _pairwise_backward(q, e, None, None, 1, (gradient, None), roots, ctx.kind)
        return dq, de, None


class _PairwiseMasked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, mask_group: int
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, e, positive, mask = (x.contiguous() for x in (q, e, positive, mask))
        scores, mutated = q.new_empty(len(q), len(e)), q.new_empty(len(q), len(e))  # (B, K)
        sizes = _sizes(q, e, kind)
        call("emugraph_pairwise", CODES[kind], q, e, positive, mask, mask_group, *sizes, scores, mutated)
        ctx.mask_group = mask_group
        _remember(ctx, kind, (q, e, positive, mask), (scores, mutated))
        return scores, mutated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (q, e, positive, mask), roots = _recall(ctx, 4)
        return *_pairwise_backward(q, e, positive, mask, ctx.mask_group, gradients, roots, ctx.kind), None, None, None


class _PairwiseMixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, e: Tensor, positive: Tensor, weight: Tensor, kind: str) -> Tensor:
        q, e, positive, weight = (x.contiguous() for x in (q, e, positive, weight))
        scores = q.new_empty(len(q), len(e))  # (B, K)
        call("emugraph_mixed", CODES[kind], q, e, positive, weight, *_sizes(q, e, kind), scores)
        _remember(ctx, kind, (q, e, positive, weight), (scores,))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (q, e, positive, weight), (root, _) = _recall(ctx, 4)
        dq, de, dpositive = torch.empty_like(q), torch.empty_like(e), torch.empty_like(positive)
        inputs, sizes = (q, e, positive, weight, gradient.contiguous(), root), _sizes(q, e, ctx.kind)
        call("emugraph_mixed_backward", CODES[ctx.kind], *inputs, *sizes, dq, de, dpositive)
        return dq, de, dpositive, None, None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, table: Tensor, index: Tensor, kind: str) -> Tensor:
        q, table, index = (x.contiguous() for x in (q, table, index))
        scores = q.new_empty(index.shape)  # (B, K)
        sizes = _gathered_sizes(q, table, index, kind)
        call("emugraph_gathered", CODES[kind], q, table, index, None, *_mask(None), *sizes, scores, None)
        _remember(ctx, kind, (q, table, index), (scores,))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (q, table, index), roots = _recall(ctx, 3)
        dq, dtable, _ = _gathered_backward(q, table, index, None, None, (gradient, None), roots, ctx.kind)
        return dq, dtable, None, None


class _GatheredMasked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, kind: str
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, table, index, positive, mask = (x.contiguous() for x in (q, table, index, positive, mask))
        scores, mutated = q.new_empty(index.shape), q.new_empty(index.shape)  # (B, K)
        sizes = _gathered_sizes(q, table, index, kind)
        arguments = (q, table, index, positive, *_mask(mask), *sizes, scores, mutated)
        call("emugraph_gathered", CODES[kind], *arguments)
        _remember(ctx, kind, (q, table, index, positive, mask), (scores, mutated))
        return scores, mutated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (q, table, index, positive, mask), roots = _recall(ctx, 5)
        dq, dtable, dpositive = _gathered_backward(q, table, index, positive, mask, gradients, roots, ctx.kind)
        return dq, dtable, None, dpositive, None, None


def _pairwise_backward(
    q: Tensor,
    e: Tensor,
    positive: Tensor | None,
    mask: Tensor | None,
    mask_group: int,
    gradients: tuple[Tensor | None, ...],
    roots: tuple[Tensor | None, ...],
    kind: str,
) -> tuple[Tensor | None, ...]:
    mask, gradients, wanted = _prepare(q, e, positive, mask, gradients)
    inputs = (q, e, positive, mask, mask_group, *gradients, *roots)
    call("emugraph_pairwise_backward", CODES[kind], *inputs, *_sizes(q, e, kind), *wanted)
    return wanted


def _gathered_backward(
    q: Tensor,
    table: Tensor,
    index: Tensor,
    positive: Tensor | None,
    mask: Tensor | None,
    gradients: tuple[Tensor | None, ...],
    roots: tuple[Tensor | None, ...],
    kind: str,
) -> tuple[Tensor | None, ...]:
    mask, gradients, wanted = _prepare(q, table, positive, mask, gradients)
    inputs, sizes = (
        (q, table, index, positive, *_mask(mask), *gradients, *roots),
        _gathered_sizes(q, table, index, kind),
    )
    call("emugraph_gathered_backward", CODES[kind], *inputs, *sizes, *wanted)
    return wanted


def _prepare(
    q: Tensor, e: Tensor, positive: Tensor | None, mask: Tensor | None, gradients: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, tuple[Tensor | None, ...], tuple[Tensor | None, ...]]:
    """What a backward pass of plain and mutated scores begins with.

    Returns:
        The mask, or None where the mutated scores were not used; the gradients by both scores; and room for those by
        queries, candidates and, with a mask, positives.
    """
    plain, mutated = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    if mutated is None:
        positive = mask = None
    by_positive = None if positive is None else torch.empty_like(positive)
    return mask, (plain, mutated), (torch.empty_like(q), torch.empty_like(e), by_positive)


def _remember(ctx: Any, kind: str, inputs: tuple[Tensor, ...], scores: tuple[Tensor, ...]) -> None:
    """Save what the backward pass needs; of the scores only those that a square root was taken for."""
    ctx.kind = kind
    ctx.save_for_backward(*inputs, *(scores if kind == "l2" else ()))


def _recall(ctx: Any, inputs: int) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
    """The saved inputs, and the scores and mutated scores or None for each."""
    saved = ctx.saved_tensors
    return saved[:inputs], (*saved[inputs:], None, None)[:2]


def _sizes(q: Tensor, e: Tensor, kind: str) -> tuple[int, int, int]:
    """Queries, candidates, units."""
    return len(q), len(e), q.shape[1] // (2 if kind == "modulus" else 1)


def _gathered_sizes(q: Tensor, table: Tensor, index: Tensor, kind: str) -> tuple[int, int, int, int]:
    """Queries, candidates, rows of the table, units."""
    queries, rows, units = _sizes(q, table, kind)
    return queries, index.shape[1], rows, units


def _mask(mask: Tensor | None) -> tuple[Tensor | int | None, ...]:
    """The C arguments for a packed mask, ``(B, K, words)`` or for all queries ``(K, words)``: it and its stride."""
    return mask, 0 if mask is None or mask.dim() == 2 else mask.shape[-2] * mask.shape[-1]
