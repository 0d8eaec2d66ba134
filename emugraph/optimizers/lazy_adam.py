"""Adam that leaves rows without gradient alone, for tables of millions of rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from emugraph.kernels import native
from emugraph.kernels.dispatch import form
from emugraph.optimizers.base import AdamOptimizer, check_tables, rows_of, summed_rows_of


class LazyAdam(AdamOptimizer):
    r"""Adam whose step touches only the rows that have gradients, in time and in memory.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        p \leftarrow p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    This is not dense Adam: there a row without gradient goes on along its momentum while its moments decay, which
    :class:`DeferredAdam` makes up for, exactly. Here it stays as it is, moments included, until it has a gradient
    again. The bias corrections count all steps (t). Up to rounding, the numbers are ``torch.optim.SparseAdam``'s, but
    that epsilon stands where ``torch.optim.Adam`` has it.

    The gradients of a row that a step reads more than once are summed first. float32 on a CPU is served by a compiled
    kernel where there is one, and all else by PyTorch.

    Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.

    Args:
        parameters: tables ``(N, w)``, float32 or float64, contiguous. Their gradients may be sparse, as embeddings give
            them with ``sparse=True``, or dense.
        lr: the learning rate; ``group["lr"]`` changes it.
        betas: how much of the moving means of gradients and of their squares a step keeps.
        eps: what is added to the root of the latter; above 0.

    Raises:
        InputError: a parameter is no such table.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self._work: dict[Tensor, tuple[Tensor, Tensor]] = {}  # the kernel's working memory
        super().__init__(parameters, lr, betas, eps)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        check_tables(self)

    def _step(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self._state_of(table)
        moments = state["exp_avg"], state["exp_avg_sq"]
        if form(table) is native:
            rate, root_correction = self._count(state, group)
            if table not in self._work:
                self._work[table] = (
                    torch.zeros(len(table), dtype=torch.int64, device="cpu"),
                    torch.full((len(table),), -1, device="cpu"),
                )
            done, first = self._work[table]
            # A history of this step alone: no row has missed any.
            history = array("f", (-rate, 1 / root_correction))
            native.adam_step((table, *moments, done), history, self._constants(group), *rows_of(gradient), first)
        else:
            _step_in_pytorch(table, *moments, gradient, group, *self._corrected(state, group))


def _step_in_pytorch(
    table: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, group: dict[str, Any], rate: Tensor, root: Tensor
) -> None:
    """The step of ``adam.cpp`` without what rows have missed, on any device."""
    ids, g = summed_rows_of(gradient)
    beta1, beta2 = group["betas"]
    m = mean[ids].lerp_(g, 1 - beta1)
    v = square[ids].mul_(beta2).addcmul_(g, g, value=1 - beta2)
    mean[ids], square[ids] = m, v
    table[ids] -= rate * m / (v.sqrt_() / root + group["eps"])
