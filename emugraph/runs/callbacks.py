"""What looks in on a training run from outside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.models import Model
from emugraph.training.settings import Settings
from emugraph.training.trainer import Trainer

logger = logging.getLogger("emugraph")


class FinishedRun(Protocol):
    """What a callback may ask of the run that has ended; :class:`emugraph.Run` is one."""

    path: Path
    kg: KnowledgeGraph
    settings: Settings
    model: Model
    metrics: dict[str, Any]


class Callback:
    """Looks in on a training run. Override what is of interest; the methods here do nothing."""

    def on_start(self, trainer: Trainer, path: Path) -> None:
        """Before the first step, of a resumed run too; ``path`` is the run's folder."""

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        """After each step. ``loss`` is a scalar tensor; reading it on a GPU waits for the device.

        Call ``trainer.finish()`` before reading embeddings here: rows that the step did not use may be behind.
        """

    def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
        """After each validation; ``best`` tells whether its MRR is the highest so far."""

    def on_checkpoint(self, trainer: Trainer, path: Path) -> None:
        """After a checkpoint was written into the run's folder ``path``."""

    def on_end(self, run: FinishedRun) -> None:
        """After the final metrics."""

    def on_exit(self) -> None:
        """At the very end, also of a run that was interrupted or failed, or did not even start."""


def exit_all(callbacks: Sequence[Callback], ending: BaseException | None = None) -> None:
    """Call :meth:`Callback.on_exit` of all, whatever fails.

    The first failure is raised and the others are logged. Where an error is ``ending`` the run all are logged, so that
    none hides it.
    """
    first: Exception | None = None
    for callback in callbacks:
        try:
            callback.on_exit()
        except Exception as failure:
            if ending is None and first is None:
                first = failure
            else:
                logger.warning("%s.on_exit failed: %s", type(callback).__name__, failure)
    if first is not None:
        raise first
