"""What optimizers of tables have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.io.mapped_memory import Memory


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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a copy's state, or a loaded one: with the counts of steps where their tables are."""
        super().__setstate__(state)
        for table, values in self.state.items():
            values["step"] = values["step"].to(table.device)


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
            state["step"] = torch.zeros((), dtype=torch.float32, device=table.device)
            state["exp_avg"], state["exp_avg_sq"] = self.memory.zeros_like(table), self.memory.zeros_like(table)
        return state

    @staticmethod
    def _constants(group: dict[str, Any]) -> Tensor:
        """What the kernel takes: 1 - beta1, beta2, 1 - beta2, eps, (4,)."""
        beta1, beta2 = group["betas"]
        return torch.tensor([1 - beta1, beta2, 1 - beta2, group["eps"]], dtype=torch.float32, device="cpu")

    @staticmethod
    def _count(state: dict[str, Tensor], group: dict[str, Any]) -> tuple[float, float]:
        """Count a step; its rate with the mean's bias corrected, and the root of the squares' bias correction."""
        state["step"] += 1
        (beta1, beta2), count = group["betas"], state["step"].item()
        return group["lr"] / (1 - beta1**count), (1 - beta2**count) ** 0.5

    @staticmethod
    def _corrected(state: dict[str, Tensor], group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The same as tensors, computed where the table is, so that nothing waits for it."""
        state["step"] += 1
        (beta1, beta2), count = group["betas"], state["step"].double()
        return group["lr"] / (1 - beta1**count), (1 - beta2**count).sqrt()


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


def summed_rows_of(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows ``(n,)`` that a gradient names, and the whole gradients of these rows ``(n, w)``.

    A row that is named again has the same gradient, the sum, each time, so that it may be updated each time. Coalesced
    rows would be fewer, and a GPU would have the host wait for their number. Sums are made in the same order each time.
    """
    ids, gradients = rows_of(gradient)
    if ids is None:
        return torch.arange(len(gradient), device=gradient.device), gradients
    # For each row one of the places where it is named. What else stands in this memory is not looked at.
    named = torch.empty(len(gradient), dtype=torch.int64, device=ids.device)
    place = named.index_copy_(0, ids, torch.arange(len(ids), device=ids.device))[ids]
    sums = torch.ops.aten.embedding_dense_backward(gradients, place, len(ids), -1, False)
    return ids, sums[place]
