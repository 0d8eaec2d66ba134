"""Adagrad for tables of which a step reads few rows, with a sum of squares for each number or one for each row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.kernels import native
from emugraph.kernels.dispatch import form
from emugraph.optimizers.base import TableOptimizer, check_tables, rows_of, summed_rows_of


class Adagrad(TableOptimizer):
    r"""Adagrad that touches only the rows of a step.

    .. math:: G \leftarrow G + g^2, \qquad p \leftarrow p - \eta g / (\sqrt{G} + \epsilon)

    Up to rounding, the numbers are those of ``torch.optim.Adagrad`` without weight decay and decay of the learning
    rate: a row without gradient does not move. State: ``sum`` (G) and ``step``, as there. The gradients of a row that a
    step reads more than once are summed first. float32 on a CPU is served by a compiled kernel where there is one, and
    all else by PyTorch.

    Duchi, Hazan & Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, JMLR 12, 2011.

    Args:
        parameters: tables ``(N, w)``, float32 or float64, contiguous. Their gradients may be sparse, as embeddings give
            them with ``sparse=True``, or dense.
        lr: the learning rate, 0 or more; ``group["lr"]`` changes it.
        eps: what is added to the root of the sum; above 0.

    Raises:
        InputError: a parameter is no such table, or a number is outside its range.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float = 1e-2, eps: float = 1e-10) -> None:
        self._first: dict[Tensor, Tensor] = {}  # the kernel's working memory
        super().__init__(parameters, {"lr": lr, "eps": eps})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group, name = self.param_groups[-1], type(self).__name__
        if not (group["lr"] >= 0 and group["eps"] > 0):
            raise InputError(f"{name} needs lr of 0 or more and eps above 0, got {group['lr']} and {group['eps']}")
        check_tables(self)

    def sum_like(self, table: Tensor) -> Tensor:
        """A tensor of the shape and kind of numbers of a table's ``sum``."""
        return table

    def _step(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=table.device)
            state["sum"] = self.memory.zeros_like(self.sum_like(table))
        if form(table) is native:
            if table not in self._first:
                self._first[table] = torch.full((len(table),), -1, device="cpu")
            constants = torch.tensor([group["lr"], group["eps"]], dtype=torch.float32, device="cpu")
            native.adagrad_step(table, state["sum"], constants, *rows_of(gradient), self._first[table])
        else:
            _step_in_pytorch(table, state["sum"], gradient, group["lr"], group["eps"])
        state["step"] += 1

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a copy's state, or a loaded one.

        Raises:
            InputError: a sum does not fit its table.
        """
        super().__setstate__(state)
        self._first = {}
        for table, values in self.state.items():
            sums, expected = values["sum"], self.sum_like(table)
            if sums.shape != expected.shape:
                raise InputError(
                    f"the state's sum is {tuple(sums.shape)}, not {tuple(expected.shape)}; "
                    f"take one of {type(self).__name__}"
                )
            values["sum"] = sums.contiguous()


class RowAdagrad(Adagrad):
    r"""Row-wise Adagrad: one learning rate for a row, and one number of state in place of w.

    .. math:: G \leftarrow G + \tfrac{1}{w} \sum_i g_i^2, \qquad p \leftarrow p - \eta g / (\sqrt{G} + \epsilon)

    State: ``sum`` (G), ``(N,)``, and ``step``. Arguments and errors are those of :class:`Adagrad`.

    Lerer et al., PyTorch-BigGraph: A Large-scale Graph Embedding System, MLSys 2019; as ``RowWiseAdagrad`` in TorchRec
    and ``EXACT_ROWWISE_ADAGRAD`` in FBGEMM.
    """

    def sum_like(self, table: Tensor) -> Tensor:
        return table[:, 0]


def _step_in_pytorch(table: Tensor, total: Tensor, gradient: Tensor, rate: float | Tensor, epsilon: float) -> None:
    """The step of ``adagrad.cpp``, on any device; ``total`` is ``(N, w)``, or ``(N,)`` for one sum a row."""
    ids, g = summed_rows_of(gradient)
    squares, by_row = g.square(), total.ndim == 1
    sums = total[ids] + (squares.mean(dim=1) if by_row else squares)
    total[ids] = sums
    root = sums.sqrt_().add_(epsilon)
    table[ids] -= rate * g / (root[:, None] if by_row else root)
