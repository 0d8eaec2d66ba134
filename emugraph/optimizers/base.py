"""What optimizers of tables have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.memory import Memory


class TableOptimizer(torch.optim.Optimizer):
    """The steps of an optimizer of tables ``(N, w)``, whose gradients may be sparse or dense."""

    memory = Memory()
    """Where the state of tables lies."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update the rows that have gradients. A table without gradient skips the step, like in PyTorch.

        Args:
            closure: computes the loss and the gradients.

        Returns:
            What the closure returns.

        Raises:
            InputError: a sparse gradient does not hold whole rows, as those of embeddings do.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                gradient = table.grad
                if gradient is None:
                    continue
                if gradient.is_sparse and gradient.sparse_dim() != 1:
                    raise InputError(
                        f"a sparse gradient must hold whole rows, got single numbers of {tuple(table.shape)}; "
                        "take an embedding's, or a dense one"
                    )
                self._step(table, gradient, group)
        return loss

    def _step(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        raise NotImplementedError


def rows_of(gradient: Tensor) -> tuple[Tensor | None, Tensor]:
    """The rows ``(n,)`` that a gradient names, None for all in order, and their gradients ``(n, w)``.

    A row may be named again: not coalesced, for which PyTorch would sort. The kernels add what belongs to a row.
    """
    return (gradient._indices()[0], gradient._values()) if gradient.is_sparse else (None, gradient)
