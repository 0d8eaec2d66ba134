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

CODES = {"l1": 0, "l2": 1, "modulus": 2}  # enum Distance in distance.cpp


def available() -> bool:
    """Whether the library could be compiled (now, if need be) and loaded."""
    return library().handle is not None


def pairwise(q: Tensor, e: Tensor, distance: str) -> Tensor:
    return _Pairwise.apply(q, e, distance)


def pairwise_masked(q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, distance: str) -> tuple[Tensor, Tensor]:
    return _PairwiseMasked.apply(q, e, positive, mask.to(q.dtype), distance)


def gathered(q: Tensor, table: Tensor, index: Tensor, distance: str) -> Tensor:
    return _Gathered.apply(q, table, index, distance)


def gathered_masked(
    q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, distance: str
) -> tuple[Tensor, Tensor]:
    if mask.dtype in (torch.bool, torch.uint8):
        mask = pack_mask(mask)
    elif mask.dtype != torch.int64:
        mask = mask.to(q.dtype)
    return _GatheredMasked.apply(q, table, index, positive, mask, distance)


def pack_mask(mask: Tensor) -> Tensor:
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
    def forward(ctx: Any, q: Tensor, e: Tensor, distance: str) -> Tensor:
        q, e = q.contiguous(), e.contiguous()
        scores = q.new_empty(len(q), len(e))  # (B, K)
        _call("emugraph_pairwise", CODES[distance], q, e, None, None, *_sizes(q, e, distance), scores, None)
        _remember(ctx, distance, (q, e), (scores,))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (q, e), roots = _recall(ctx, 2)
        dq, de, _ = _pairwise_backward(q, e, None, None, (gradient, None), roots, ctx.distance)
        return dq, de, None


class _PairwiseMasked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, distance: str) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, e, positive, mask = (x.contiguous() for x in (q, e, positive, mask))
        scores, mutated = q.new_empty(len(q), len(e)), q.new_empty(len(q), len(e))  # (B, K)
        sizes = _sizes(q, e, distance)
        _call("emugraph_pairwise", CODES[distance], q, e, positive, mask, *sizes, scores, mutated)
        _remember(ctx, distance, (q, e, positive, mask), (scores, mutated))
        return scores, mutated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (q, e, positive, mask), roots = _recall(ctx, 4)
        return *_pairwise_backward(q, e, positive, mask, gradients, roots, ctx.distance), None, None


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, table: Tensor, index: Tensor, distance: str) -> Tensor:
        q, table, index = (x.contiguous() for x in (q, table, index))
        scores = q.new_empty(index.shape)  # (B, K)
        sizes = _gathered_sizes(q, table, index, distance)
        _call("emugraph_gathered", CODES[distance], q, table, index, None, *_mask(None), *sizes, scores, None)
        _remember(ctx, distance, (q, table, index), (scores,))
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (q, table, index), roots = _recall(ctx, 3)
        dq, dtable, _ = _gathered_backward(q, table, index, None, None, (gradient, None), roots, ctx.distance)
        return dq, dtable, None, None


class _GatheredMasked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, table: Tensor, index: Tensor, positive: Tensor, mask: Tensor, distance: str
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        q, table, index, positive, mask = (x.contiguous() for x in (q, table, index, positive, mask))
        scores, mutated = q.new_empty(index.shape), q.new_empty(index.shape)  # (B, K)
        sizes = _gathered_sizes(q, table, index, distance)
        arguments = (q, table, index, positive, *_mask(mask), *sizes, scores, mutated)
        _call("emugraph_gathered", CODES[distance], *arguments)
        _remember(ctx, distance, (q, table, index, positive, mask), (scores, mutated))
        return scores, mutated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (q, table, index, positive, mask), roots = _recall(ctx, 5)
        dq, dtable, dpositive = _gathered_backward(q, table, index, positive, mask, gradients, roots, ctx.distance)
        return dq, dtable, None, dpositive, None, None


def _pairwise_backward(
    q: Tensor,
    e: Tensor,
    positive: Tensor | None,
    mask: Tensor | None,
    gradients: tuple[Tensor | None, ...],
    roots: tuple[Tensor | None, ...],
    distance: str,
) -> tuple[Tensor | None, ...]:
    plain, mutated = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    if mutated is None:
        positive = mask = None
        if plain is None:
            return None, None, None
    dq, de = torch.empty_like(q), torch.empty_like(e)
    dpositive = None if positive is None else torch.empty_like(positive)
    inputs, sizes = (q, e, positive, mask, plain, mutated), _sizes(q, e, distance)
    _call("emugraph_pairwise_backward", CODES[distance], *inputs, *roots, *sizes, dq, de, dpositive)
    return dq, de, dpositive


def _gathered_backward(
    q: Tensor,
    table: Tensor,
    index: Tensor,
    positive: Tensor | None,
    mask: Tensor | None,
    gradients: tuple[Tensor | None, ...],
    roots: tuple[Tensor | None, ...],
    distance: str,
) -> tuple[Tensor | None, ...]:
    plain, mutated = (None if gradient is None else gradient.contiguous() for gradient in gradients)
    if mutated is None:
        positive = mask = None
        if plain is None:
            return None, None, None
    dq, dtable = torch.empty_like(q), torch.empty_like(table)
    dpositive = None if positive is None else torch.empty_like(positive)
    inputs = (q, table, index, positive, *_mask(mask), plain, mutated)
    sizes = _gathered_sizes(q, table, index, distance)
    _call("emugraph_gathered_backward", CODES[distance], *inputs, *roots, *sizes, dq, dtable, dpositive)
    return dq, dtable, dpositive


def _remember(ctx: Any, distance: str, inputs: tuple[Tensor, ...], scores: tuple[Tensor, ...]) -> None:
    """Save what the backward pass needs; of the scores only those that a square root was taken for."""
    ctx.distance = distance
    ctx.save_for_backward(*inputs, *(scores if distance == "l2" else ()))


def _recall(ctx: Any, inputs: int) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
    """The saved inputs, and the scores and mutated scores or None for each."""
    saved = ctx.saved_tensors
    return saved[:inputs], (*saved[inputs:], None, None)[:2]


def _sizes(q: Tensor, e: Tensor, distance: str) -> tuple[int, int, int]:
    """Queries, candidates, units."""
    return len(q), len(e), q.shape[1] // (2 if distance == "modulus" else 1)


def _gathered_sizes(q: Tensor, table: Tensor, index: Tensor, distance: str) -> tuple[int, int, int, int]:
    """Queries, candidates, rows of the table, units."""
    queries, rows, units = _sizes(q, table, distance)
    return queries, index.shape[1], rows, units


def _mask(mask: Tensor | None) -> tuple[Tensor | int | None, ...]:
    """The C arguments for a mask, packed or floats, ``(B, K, ...)`` or for all queries ``(K, ...)``."""
    if mask is None:
        return None, 0, 0, 0
    words = mask.shape[-1]
    query_stride = mask.shape[-2] * words if mask.dim() == 3 else 0
    return mask, query_stride, words, int(mask.dtype == torch.int64)


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
