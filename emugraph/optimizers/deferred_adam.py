"""Dense Adam for tables of which a step reads few rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emugraph import kernels
from emugraph.errors import EmugraphError, InputError
from emugraph.kernels import native
from emugraph.optimizers.base import AdamOptimizer, rows_of


class DeferredAdam(AdamOptimizer):
    """Dense Adam that touches only the rows of a step.

    In dense Adam a row without gradient moves too: its moments decay, and it goes on along its momentum. Here that
    waits until the row is read. It is then made up for step by step, each with its own learning rate and bias
    corrections, in the processor's registers instead of in a pass over all tables. Up to rounding, all numbers that are
    ever read are those of ``torch.optim.Adam`` without weight decay; when and how often rows are refreshed changes
    none of them by a bit.

    Before a step, or its closure, reads rows of a table, call :meth:`refresh` with them; before a table is read whole,
    :meth:`finish`.

    The arithmetic is dense Adam's, so that its time grows with the table; what does not grow is the memory that a step
    touches. For millions of rows take :class:`LazyAdam`.

    Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.

    Args:
        parameters: tables ``(N, w)``, float32, contiguous, on a CPU. Their gradients may be sparse, as embeddings give
            them with ``sparse=True``, or dense, which costs as much as dense Adam. A table without gradient skips the
            step, like in PyTorch.
        lr: the learning rate; ``group["lr"]`` changes it.
        betas: how much of the moving means of gradients and of their squares a step keeps.
        eps: what is added to the root of the latter; above 0.

    Raises:
        InputError: a parameter is no such table.
        EmugraphError: there are no compiled kernels here.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        if not kernels.compiled():
            raise EmugraphError(f"DeferredAdam needs compiled kernels, not {kernels.status()}; use torch.optim.Adam")
        self._waiting: dict[Tensor, _Waiting] = {}
        super().__init__(parameters, lr, betas, eps)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        for table in self.param_groups[-1]["params"]:
            if not _fits(table):
                raise InputError(
                    "DeferredAdam needs contiguous tables (N, w) of float32 on a CPU, "
                    f"got {tuple(table.shape)} of {table.dtype} on {table.device}; use torch.optim.Adam"
                )

    @staticmethod
    def serves(parameters: Iterable[Tensor]) -> bool:
        """Whether these can be trained so here; compiles the kernels if that has not been tried yet."""
        return all(map(_fits, parameters)) and kernels.compiled()

    def refresh(self, table: Tensor, ids: Tensor) -> None:
        """Bring rows up to date, in place.

        Args:
            table: one of the parameters.
            ids: its rows, int64, any shape; a row may be named again.

        Raises:
            IndexError: a row lies outside the table.
        """
        if table in self._waiting:
            self._waiting[table].refresh(ids)

    def finish(self) -> None:
        """Bring all rows of all tables up to date, and the state: ``exp_avg``, ``exp_avg_sq`` and ``step``."""
        for waiting in self._waiting.values():
            waiting.finish()

    def _step(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self._state_of(table)
        if table not in self._waiting:
            moments = state["exp_avg"], state["exp_avg_sq"]
            self._waiting[table] = _Waiting.start(table, *moments, self._constants(group))
        rate, root_correction = self._count(state, group)
        self._waiting[table].step(gradient, rate, root_correction)

    def state_dict(self) -> dict[str, Any]:
        """The state as PyTorch gives it, of rows that are all up to date: this calls :meth:`finish`."""
        self.finish()
        return super().state_dict()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_waiting": self._waiting}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a copy's state, or a loaded one. With that nothing waits: what waited belonged to the old one."""
        super().__setstate__(state)
        self._waiting = state.get("_waiting", {})


def _fits(table: Tensor) -> bool:
    on_cpu = table.device.type == "cpu" and table.dtype == torch.float32
    return on_cpu and table.ndim == 2 and table.is_contiguous()


@dataclass
class _Waiting:
    """A table's rows, and the steps that wait for them."""

    table: Tensor  # (N, w)
    exp_avg: Tensor  # (N, w)
    exp_avg_sq: Tensor  # (N, w)
    done: Tensor  # (N,) steps of the history that a row has made; -1: it never had a gradient, and does not move
    constants: Tensor  # (4,) 1 - beta1, beta2, 1 - beta2, eps
    first: Tensor  # (N,) of -1: the kernel's working memory
    history: array[float]  # float32: of each step since the last finish(), minus its rate and 1 / root_correction

    @classmethod
    def start(cls, table: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, constants: Tensor) -> _Waiting:
        moves = ((exp_avg != 0) | (exp_avg_sq != 0)).any(dim=1)  # (N,)
        first = torch.full((len(table),), -1, device="cpu")
        return cls(table, exp_avg, exp_avg_sq, moves.long() - 1, constants, first, array("f"))

    @property
    def _rows(self) -> tuple[Tensor, ...]:
        return self.table, self.exp_avg, self.exp_avg_sq, self.done

    def refresh(self, ids: Tensor | None) -> None:
        native.adam_refresh(self._rows, self.history, self.constants, ids)

    def finish(self) -> None:
        self.refresh(None)
        self.done.clamp_(max=0)
        del self.history[:]

    def step(self, gradient: Tensor, rate: float, root_correction: float) -> None:
        self.history.extend((-rate, 1 / root_correction))
        native.adam_step(self._rows, self.history, self.constants, *rows_of(gradient), self.first)
