"""Training runs in other people's trackers: TensorBoard, MLflow, Weights & Biases; and as a table.

Each is a callback of :func:`emugraph.train` and :func:`emugraph.resume`. It is given the settings at the start; at each
validation the mean training loss since the one before, the learning rate and the validation figures; and at the end the
final figures of validation and test. What training writes by itself, ``log.jsonl``, is written without any of them.
"""

from __future__ import annotations

import csv
import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from emugraph.errors import InputError, nearest
from emugraph.files import explain_write_errors
from emugraph.models import SIDES
from emugraph.session import Callback
from emugraph.training import Trainer

if TYPE_CHECKING:
    from emugraph.runs import Run

FIGURES = ("mrr", "mean_rank", "hits@1", "hits@3", "hits@10")


class Tracker(Callback, ABC):
    """Takes a run's figures to somewhere; the methods without a body say where.

    Raises:
        InputError: the package that it needs is not installed.
    """

    package: str | None = None
    """What is imported, a module of the package to install."""

    def __init__(self) -> None:
        if self.package is not None:
            try:
                self.library: Any = importlib.import_module(self.package)
            except ImportError as error:
                name = {"torch.utils.tensorboard": "tensorboard"}.get(self.package, self.package)
                raise InputError(f"{name} is not installed; pip install 'emugraph[trackers]'") from error
        self._loss: Tensor | None = None
        self._steps = 0

    @abstractmethod
    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        """A run begins, or goes on after ``step``."""

    @abstractmethod
    def record(self, figures: Mapping[str, float], step: int) -> None:
        """Figures by name, after a step."""

    @abstractmethod
    def close(self) -> None:
        """The run has ended, in whatever way."""

    def on_start(self, trainer: Trainer, path: Path) -> None:
        settings = {"dataset": trainer.kg.name, **trainer.settings.model_dump()}
        self.begin(path.resolve().name, settings, path, trainer.step_count)

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        self._loss = loss if self._loss is None else self._loss + loss  # not read before it must be
        self._steps += 1

    def on_validation(self, trainer: Trainer, figures: dict[str, Any], best: bool) -> None:
        found = {"train/learning_rate": trainer.learning_rate}
        if self._loss is not None:
            found["train/loss"] = self._loss.item() / self._steps
        self._loss, self._steps = None, 0
        self.record(found | _flat("valid", figures), trainer.step_count)

    def on_end(self, run: Run) -> None:
        final: dict[str, float] = {}
        for split in ("valid", "test"):
            if split in run.figures:
                final |= _flat(f"final/{split}", run.figures[split])
        self.record(final, run.figures["steps"])

    def on_exit(self) -> None:
        self.close()


def _flat(prefix: str, figures: Mapping[str, Any]) -> dict[str, float]:
    """Figures under names that all trackers take: "valid/mrr", "valid/tail/hits_at_10"."""
    found = {f"{prefix}/{name.replace('@', '_at_')}": float(figures[name]) for name in FIGURES}
    for side in SIDES:
        if side in figures:
            found |= _flat(f"{prefix}/{side}", figures[side])
    return found


class Csv(Tracker):
    """``metrics.csv`` in the run's folder: a line a figure, with the columns step, name and value.

    A run that is resumed goes on with it, from the step of its checkpoint.
    """

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self._path = path / "metrics.csv"
        kept: list[list[str]] = []
        if step and self._path.is_file():
            with self._path.open(encoding="utf-8", newline="") as file:
                kept = [row for row in list(csv.reader(file))[1:] if int(row[0]) <= step and "final/" not in row[1]]
        with explain_write_errors(self._path), self._path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["step", "name", "value"], *kept])

    def record(self, figures: Mapping[str, float], step: int) -> None:
        with explain_write_errors(self._path), self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([step, name, value] for name, value in figures.items())

    def close(self) -> None:
        pass


class TensorBoard(Tracker):
    """Events in the run's folder, under ``tensorboard``; ``tensorboard --logdir runs`` shows all runs.

    A run that is resumed goes on with them: what came after its checkpoint is dropped.
    """

    package = "torch.utils.tensorboard"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self._writer = self.library.SummaryWriter(str(path / "tensorboard"), purge_step=step + 1 if step else None)
        rows = "\n".join(f"| {setting} | {value} |" for setting, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}", step)

    def record(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.close()


class MlFlow(Tracker):
    """A run of MLflow in the experiment of the data set's name, where ``MLFLOW_TRACKING_URI`` says, or in
    ``mlflow.db`` in the folder that training was started in. A run that is resumed is a new one there, from the step of
    its checkpoint on.
    """

    package = "mlflow"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
        self._client = self.library.MlflowClient(store)
        experiment = self._client.get_experiment_by_name(settings["dataset"])
        identity = experiment.experiment_id if experiment else self._client.create_experiment(settings["dataset"])
        self._run = self._client.create_run(identity, run_name=name, tags={"folder": str(path.resolve())}).info.run_id
        for setting, value in settings.items():
            self._client.log_param(self._run, setting, value)
        self._status = "KILLED"

    def record(self, figures: Mapping[str, float], step: int) -> None:
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value, step=step)

    def on_end(self, run: Run) -> None:
        super().on_end(run)
        self._status = "FINISHED"

    def close(self) -> None:
        if hasattr(self, "_run"):
            self._client.set_terminated(self._run, self._status)


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases in the project ``emugraph`` (or ``WANDB_PROJECT``); without a network set
    ``WANDB_MODE=offline``, and upload it later with ``wandb sync``. Its files lie in the run's folder, under ``wandb``.
    A run that is resumed is a new one there, from the step of its checkpoint on.
    """

    package = "wandb"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        project = os.environ.get("WANDB_PROJECT", "emugraph")
        self._run = self.library.init(
            project=project, name=name, config=dict(settings), dir=str(path), reinit="create_new"
        )
        self._code = 1

    def record(self, figures: Mapping[str, float], step: int) -> None:
        self._run.log(dict(figures), step=step)

    def on_end(self, run: Run) -> None:
        super().on_end(run)
        self._code = 0

    def close(self) -> None:
        if hasattr(self, "_run"):
            self._run.finish(exit_code=self._code)


TRACKERS: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard, "mlflow": MlFlow, "wandb": WeightsAndBiases, "csv": Csv,
}  # fmt: skip
"""All trackers, by the names that the command line knows."""


def build_trackers(names: Iterable[str]) -> list[Tracker]:
    """Trackers by name, each once. Raises InputError for one that there is not, or whose package is not installed."""
    built = []
    for name in dict.fromkeys(names):
        if name not in TRACKERS:
            raise InputError(f"unknown tracker {name!r}; known: {', '.join(TRACKERS)}.{nearest(name, TRACKERS)}")
        built.append(TRACKERS[name]())
    return built
