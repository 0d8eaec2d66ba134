"""The compiled kernels as PyTorch functions with gradients."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from emugraph.kernels.build import library
from emugraph.kernels.eager import spread

CODES = {"l1": 0, "l2": 1, "modulus": 2, "dot": 3}  # enum Score in terms.h


def available() -> bool:
    """Whether the library could be compiled (now, if need be) and loaded."""
    return library().handle is not None


def pairwise(q: Tensor, e: Tensor, kind: str) -> Tensor:
    return _Pairwise.apply(q, e, kind)


def pairwise_masked(q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, run: int) -> tuple[Tensor, Tensor]:
    if run % library().lanes:
        mask, run = spread(mask, run, len(e)), 1
    return _PairwiseMasked.apply(q, e, positive, pack_mask(mask), kind, run)


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
    _call("emugraph_pack_mask", mask, mask.numel() // units, units, packed)
    return packed


def count_better(scores: Tensor, true_scores: Tensor) -> tuple[Tensor, Tensor]:
    scores, true_scores = scores.contiguous(), true_scores.contiguous()
    greater, less = scores.new_empty(2, len(scores), dtype=torch.int64)  # (B,) each
    _call("emugraph_count_better", scores, true_scores, *scores.shape, greater, less)
    return greater, less


def softmax_loss(positive: Tensor, negatives: Tensor, label: float) -> Tensor:
    return _SoftmaxLoss.apply(positive, negatives, label)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, positive: Tensor, negatives: Tensor, label: float) -> Tensor:
        positive, negatives = positive.contiguous(), negatives.contiguous()
        losses, partitions = torch.empty_like(positive), positive.new_empty(len(positive), 2)
        labels = torch.tensor([label])
        _call("emugraph_softmax_loss", positive, negatives, labels, *negatives.shape, losses, partitions)
        ctx.save_for_backward(positive, negatives, labels, partitions)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        positive, negatives, labels, partitions = ctx.saved_tensors
        by_positive, by_negatives = torch.empty_like(positive), torch.empty_like(negatives)
        inputs = (positive, negatives, labels, partitions, gradient.contiguous())
        _call("emugraph_softmax_loss_backward", *inputs, *negatives.shape, by_positive, by_negatives)
        return by_positive, by_negatives, None


def adam_refresh(table: Sequence[Tensor], history: array[float], constants: Tensor, ids: Tensor | None) -> None:
    """Make up, in place, for the steps that rows of a table have missed; see ``adam.cpp``.

    Args:
        table: the parameter, its moving means of gradients and of their squares, each ``(N, w)``, contiguous, and the
            steps of the history that each row has made, ``(N,)`` int64.
        history: two numbers a step.
        constants: ``(4,)``.
        ids: the rows, any shape, int64; None for all.

    Raises:
        IndexError: a row lies outside the table.
    """
    count = len(table[0]) if ids is None else ids.numel()
    if not count:
        return  # an empty tensor's address is null, which stands for all rows
    ids = None if ids is None else ids.contiguous()
    _call("emugraph_adam_refresh", *_adam_table(table, history), constants, ids, count)


def adam_step(
    table: Sequence[Tensor],
    history: array[float],
    constants: Tensor,
    ids: Tensor | None,
    gradients: Tensor,
    last: Tensor,
) -> None:
    """Make, in place, the history's last step for the rows that have gradients, and what they missed before it.

    Args:
        table, history, constants: see :func:`adam_refresh`.
        ids: the rows ``(n,)``, int64; None for all in order.
        gradients: ``(n, w)``; those of a row that is named again are summed.
        last: ``(N,)`` int64 of -1, working memory that is left as it was.

    Raises:
        IndexError: a row lies outside the table.
    """
    if not len(gradients):
        return
    ids, gradients = None if ids is None else ids.contiguous(), gradients.contiguous()
    _call("emugraph_adam_step", *_adam_table(table, history), constants, ids, gradients, len(gradients), last)


def _adam_table(table: Sequence[Tensor], history: array[float]) -> tuple[Tensor | int, ...]:
    parameter, mean, square, done = table
    return parameter, mean, square, *parameter.shape, done, history.buffer_info()[0], len(history) // 2


class _Pairwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, e: Tensor, kind: str) -> Tensor:
        q, e = q.contiguous(), e.contiguous()
        scores = q.new_empty(len(q), len(e))  # (B, K)
        _call("emugraph_pairwise", CODES[kind], q, e, None, None, 1, *_sizes(q, e, kind), scores, None)
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
        ctx: Any, q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, kind: str, run: int
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, e, positive, mask = (x.contiguous() for x in (q, e, positive, mask))
        scores, mutated = q.new_empty(len(q), len(e)), q.new_empty(len(q), len(e))  # (B, K)
        sizes = _sizes(q, e, kind)
        _call("emugraph_pairwise", CODES[kind], q, e, positive, mask, run, *sizes, scores, mutated)
        ctx.run = run
        _remember(ctx, kind, (q, e, positive, mask), (scores, mutated))
        return scores, mutated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (q, e, positive, mask), roots = _recall(ctx, 4)
        return *_pairwise_backward(q, e, positive, mask, ctx.run, gradients, roots, ctx.kind), None, None, None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, table: Tensor, index: Tensor, kind: str) -> Tensor:
        q, table, index = (x.contiguous() for x in (q, table, index))
        scores = q.new_empty(index.shape)  # (B, K)
        sizes = _gathered_sizes(q, table, index, kind)
        _call("emugraph_gathered", CODES[kind], q, table, index, None, *_mask(None), *sizes, scores, None)
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
        _call("emugraph_gathered", CODES[kind], *arguments)
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
    run: int,
    gradients: tuple[Tensor | None, ...],
    roots: tuple[Tensor | None, ...],
    kind: str,
) -> tuple[Tensor | None, ...]:
    plain, mutated = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    if mutated is None:
        positive = mask = None
        if plain is None:
            return None, None, None
    dq, de = torch.empty_like(q), torch.empty_like(e)
    dpositive = None if positive is None else torch.empty_like(positive)
    inputs, sizes = (q, e, positive, mask, run, plain, mutated), _sizes(q, e, kind)
    _call("emugraph_pairwise_backward", CODES[kind], *inputs, *roots, *sizes, dq, de, dpositive)
    return dq, de, dpositive


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
    plain, mutated = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    if mutated is None:
        positive = mask = None
        if plain is None:
            return None, None, None
    dq, dtable = torch.empty_like(q), torch.empty_like(table)
    dpositive = None if positive is None else torch.empty_like(positive)
    inputs = (q, table, index, positive, *_mask(mask), plain, mutated)
    sizes = _gathered_sizes(q, table, index, kind)
    _call("emugraph_gathered_backward", CODES[kind], *inputs, *roots, *sizes, dq, dtable, dpositive)
    return dq, dtable, dpositive


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


def _call(name: str, *arguments: Tensor | int | None) -> None:
    """Call a function of the library, with PyTorch's number of threads as its last argument.

    Raises:
        IndexError: an index lies outside the table.
        MemoryError: the function could not get its working memory.
    """
    words = (a.data_ptr() if isinstance(a, Tensor) else a or 0 for a in (*arguments, torch.get_num_threads()))
    outcome = getattr(library().handle, name)(*map(ctypes.c_int64, words))
    if outcome == 2:
        raise IndexError("an index lies outside the table")
    if outcome:
        raise MemoryError(f"{name} could not get its working memory")
