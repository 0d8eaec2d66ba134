"""What optimizers of tables have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


class AdamOptimizer(TableOptimizer):
    """What the forms of Adam have in common: their numbers, and a table's state.

    Args:
        parameters: tables ``(N, w)``.
        lr: the learning rate; ``group["lr"]`` changes it.
        betas: how much of the moving means of gradients and of their squares a step keeps.
        eps: what is added to the root of the latter; above 0.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    def _state_of(self, table: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[table]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = self.memory.zeros_like(table), self.memory.zeros_like(table)
        return state

    @staticmethod
    def _constants(group: dict[str, Any]) -> Tensor:
        """What the kernel takes: 1 - beta1, beta2, 1 - beta2, eps, (4,)."""
        beta1, beta2 = group["betas"]
        return torch.tensor([1 - beta1, beta2, 1 - beta2, group["eps"]], dtype=torch.float32)

    @staticmethod
    def _count(state: dict[str, Tensor], group: dict[str, Any]) -> tuple[float, float]:
        """Count a step; its rate with the mean's bias corrected, and the root of the squares' bias correction."""
        state["step"] += 1
        (beta1, beta2), count = group["betas"], state["step"].item()
        return group["lr"] / (1 - beta1**count), (1 - beta2**count) ** 0.5


def check_tables(optimizer: torch.optim.Optimizer) -> None:
    """Raise InputError if the last group holds a parameter that is no contiguous table of float32 or float64."""
    for table in optimizer.param_groups[-1]["params"]:
        if table.ndim != 2 or table.dtype not in (torch.float32, torch.float64) or not table.is_contiguous():
            raise InputError(
                f"{type(optimizer).__name__} needs contiguous tables (N, w) of float32 or float64, "
                f"got {tuple(table.shape)} of {table.dtype}"
            )


def rows_of(gradient: Tensor) -> tuple[Tensor | None, Tensor]:
    """The rows ``(n,)`` that a gradient names, None for all in order, and their gradients ``(n, w)``.

    A row may be named again: not coalesced, for which PyTorch would sort. The kernels add what belongs to a row.
    """
    return (gradient._indices()[0], gradient._values()) if gradient.is_sparse else (None, gradient)
