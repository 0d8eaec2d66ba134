"""Adam's steps on rows of a table; see ``adam.cpp``."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from torch import Tensor

from emugraph.kernels.native.library import call


def adam_refresh(table: Sequence[Tensor], history: array[float], constants: Tensor, ids: Tensor | None) -> None:
    """Make up, in place, for the steps that rows of a table have missed.

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
    call("emugraph_adam_refresh", *_adam_table(table, history), constants, ids, count)


def adam_step(
    table: Sequence[Tensor],
    history: array[float],
    constants: Tensor,
    ids: Tensor | None,
    gradients: Tensor,
    first: Tensor,
) -> None:
    """Make, in place, the history's last step for the rows that have gradients, and what they missed before it.

    Args:
        table, history, constants: see :func:`adam_refresh`.
        ids: the rows ``(n,)``, int64; None for all in order.
        gradients: ``(n, w)``; those of a row that is named again are summed.
        first: ``(N,)`` int64 of -1, working memory that is left as it was.

    Raises:
        IndexError: a row lies outside the table.
    """
    if not len(gradients):
        return
    ids, gradients = None if ids is None else ids.contiguous(), gradients.contiguous()
    call("emugraph_adam_step", *_adam_table(table, history), constants, ids, gradients, len(gradients), first)


def _adam_table(table: Sequence[Tensor], history: array[float]) -> tuple[Tensor | array[float] | int, ...]:
    parameter, mean, square, done = table
    return parameter, mean, square, *parameter.shape, done, history, len(history) // 2
