"""Adagrad's step on rows of a table; see ``adagrad.cpp``."""

from __future__ import annotations

from torch import Tensor

from emugraph.kernels.native.library import call


def adagrad_step(
    table: Tensor, total: Tensor, constants: Tensor, ids: Tensor | None, gradients: Tensor, first: Tensor
) -> None:
    """Make, in place, a step for the rows that have gradients.

    Args:
        table: ``(N, w)``, contiguous.
        total: the sum of the squares of all gradients so far, ``(N, w)``, contiguous, or one for each row, ``(N,)``.
        constants: ``(2,)``, the learning rate and what is added to the root of the sum.
        ids: the rows ``(n,)``, int64; None for all in order.
        gradients: ``(n, w)``; those of a row that is named again are summed.
        first: ``(N,)`` int64 of -1, working memory that is left as it was.

    Raises:
        IndexError: a row lies outside the table.
    """
    if not len(gradients):
        return
    ids, gradients = None if ids is None else ids.contiguous(), gradients.contiguous()
    by_row = total.ndim == 1
    call(
        "emugraph_adagrad_step",
        table, total, *table.shape, by_row, constants, ids, gradients, len(gradients), first,
    )  # fmt: skip
