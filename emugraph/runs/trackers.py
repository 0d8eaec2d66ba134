"""Training runs in other people's trackers: TensorBoard, MLflow, Weights & Biases; and as a table.

Each is a callback of :func:`emugraph.train` and :func:`emugraph.resume`. It is given the settings at the start; at each
validation the mean training loss since the one before, the learning rate and the validation metrics; and at the end the
final metrics of validation and test. What training writes by itself, ``log.jsonl``, is written without any of them.

Metrics go by step, under names that all trackers take: ``train/loss``, ``train/learning_rate``, ``valid/mrr``,
``valid/tail/hits_at_10``, ``final/test/mean_rank``. In a resumed run the first loss is the mean over the steps since
the checkpoint.
"""

from __future__ import annotations

import csv
import importlib
import logging
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from emugraph.errors import EmugraphError, InputError, nearest
from emugraph.io.atomic import explain_write_errors, write_text
from emugraph.io.bounded_files import read_bounded
from emugraph.runs.callbacks import Callback
from emugraph.types import SIDES

if TYPE_CHECKING:
    from emugraph.runs.callbacks import FinishedRun
    from emugraph.training.trainer import Trainer

METRICS = ("mrr", "mean_rank", "hits@1", "hits@3", "hits@10")

Outcome = Literal["finished", "interrupted", "failed"]

logger = logging.getLogger("emugraph")


class Tracker(Callback, ABC):
    """Takes a run's metrics to somewhere; the methods without a body say where.

    Where the tracker cannot begin, training does not either. One that fails later is given up with a warning in the log
    ``emugraph``, and training goes on.

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
        self._begun = self._given_up = self._finished = False
        self._loss: Tensor | None = None
        self._steps = 0
        """Over how many steps the losses are summed."""

    @abstractmethod
    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        """A run begins, or goes on after ``step``."""

    @abstractmethod
    def record(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics by name, after a step."""

    @abstractmethod
    def close(self, outcome: Outcome) -> None:
        """The run has ended. Called once for each :meth:`begin` that came to its end."""

    def on_start(self, trainer: Trainer, path: Path) -> None:
        self._begun = self._given_up = self._finished = False
        self._loss, self._steps = None, 0
        settings = {"dataset": trainer.kg.name, **trainer.settings.model_dump(mode="json")}
        try:
            self.begin(path.resolve().name, settings, path, trainer.step_count)
        except Exception as error:
            reason = str(error).rstrip(". ")
            raise EmugraphError(
                f"{type(self).__name__} does not take the run: {reason}. Once that is mended, or without the tracker, "
                f"go on with: emugraph resume {path}"
            ) from error
        self._begun = True

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        self._loss = loss if self._loss is None else self._loss + loss  # not read before it must be
        self._steps += 1
        # The session's own rule, so that a graph without validation triples has its losses too.
        if trainer.step_count % trainer.settings.valid_every == 0 or trainer.step_count == trainer.settings.steps:
            mean = self._loss.item() / self._steps
            self._loss, self._steps = None, 0
            self._record(
                {"train/loss": mean, "train/learning_rate": trainer.learning_rate_of(trainer.step_count - 1)},
                trainer.step_count,
            )

    def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
        self._record(_flat("valid", metrics), trainer.step_count)

    def on_end(self, run: FinishedRun) -> None:
        final: dict[str, float] = {}
        for split in ("valid", "test"):
            if split in run.metrics:
                final |= _flat(f"final/{split}", run.metrics[split])
        self._record(final, run.metrics["steps"])
        self._finished = True

    def on_exit(self) -> None:
        if not self._begun:
            return
        self._begun = False
        error = sys.exc_info()[1]  # what ends the run, which is on its way up
        unfinished: Outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            self.close("finished" if self._finished else unfinished)
        except Exception as failure:
            self._give_up(failure)

    def _record(self, metrics: Mapping[str, float], step: int) -> None:
        if self._given_up or not metrics:
            return
        try:
            self.record(metrics, step)
        except Exception as failure:
            self._give_up(failure)

    def _give_up(self, failure: Exception) -> None:
        if not self._given_up:
            logger.warning("%s failed, and gets no more of this run: %s", type(self).__name__, failure)
        self._given_up = True


def _flat(prefix: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics by names such as "valid/mrr" and "valid/tail/hits_at_10"."""
    flat = {f"{prefix}/{name.replace('@', '_at_')}": float(metrics[name]) for name in METRICS}
    for side in SIDES:
        if side in metrics:
            flat |= _flat(f"{prefix}/{side}", metrics[side])
    return flat


class Csv(Tracker):
    """``metrics.csv`` in the run's folder: a line a metric, with the columns step, name and value.

    A run that is resumed goes on with it, from the step of its checkpoint.
    """

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self._path = path / "metrics.csv"
        lines = []
        if step and self._path.is_file():
            lines = read_bounded(self._path, None).decode("utf-8", "replace").splitlines(keepends=True)
        write_text(self._path, "".join(["step,name,value\n", *(line for line in lines if _stays(line, step))]))

    def record(self, metrics: Mapping[str, float], step: int) -> None:
        with explain_write_errors(self._path), self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([step, name, value] for name, value in metrics.items())

    def close(self, outcome: Outcome) -> None:
        pass  # the file is open only while something is written


def _stays(line: str, step: int) -> bool:
    """Whether a line of the table is still true after going back to ``step``: whole, and no final metric."""
    at, _, rest = line.partition(",")
    return line.endswith("\n") and at.isdecimal() and int(at) <= step and not rest.startswith("final/")


class TensorBoard(Tracker):
    """Events in the run's folder, under ``tensorboard``; ``tensorboard --logdir runs`` shows all runs.

    Settings are hyperparameters, so that runs can be compared by them. A run that is resumed goes on with its events:
    what came after its checkpoint is dropped. Final metrics of an end that was not the last stay, with their step.
    """

    package = "torch.utils.tensorboard"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self._writer = self.library.SummaryWriter(str(path / "tensorboard"), purge_step=step + 1)
        values = {n: value if isinstance(value, bool | int | float) else str(value) for n, value in settings.items()}
        shown = ("valid/mrr", "final/valid/mrr", "final/test/mrr")
        experiment, started, _ = self.library.summary.hparams(values, dict.fromkeys(shown, 0.0))
        self._writer.file_writer.add_summary(experiment)
        self._writer.file_writer.add_summary(started)
        self._writer.flush()

    def record(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # it would wait for two minutes otherwise

    def close(self, outcome: Outcome) -> None:
        self._writer.close()


class MlFlow(Tracker):
    """A run of MLflow, in the experiment ``MLFLOW_EXPERIMENT_NAME`` or that of the data set's name.

    It goes where ``MLFLOW_TRACKING_URI`` or ``mlflow.set_tracking_uri`` says, and otherwise to ``mlflow.db``, an SQLite
    file in the folder that training was started in. Its tag ``folder`` is the run's folder. A run that is resumed is a
    new one there, from the step of its checkpoint on, with the tag ``resumed_after``.
    """

    package = "mlflow"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        address = self.library.is_tracking_uri_set()
        self._client = self.library.MlflowClient(None if address else f"sqlite:///{Path('mlflow.db').resolve()}")
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME") or settings["dataset"]
        existing = self._client.get_experiment_by_name(wanted)
        experiment = existing.experiment_id if existing is not None else self._client.create_experiment(wanted)
        tags = {"folder": str(path.resolve())} | ({"resumed_after": str(step)} if step else {})
        self._run = self._client.create_run(experiment, run_name=name, tags=tags).info.run_id
        parameter = self.library.entities.Param
        self._client.log_batch(self._run, params=[parameter(n, str(value)) for n, value in settings.items()])

    def record(self, metrics: Mapping[str, float], step: int) -> None:
        metric, now = self.library.entities.Metric, int(1000 * time.time())  # milliseconds
        self._client.log_batch(self._run, metrics=[metric(name, value, now, step) for name, value in metrics.items()])

    def close(self, outcome: Outcome) -> None:
        status = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}[outcome]
        self._client.set_terminated(self._run, status)


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases in the project ``WANDB_PROJECT``, or ``emugraph``.

    Its files lie in ``WANDB_DIR``, or in the run's folder under ``wandb``. With ``WANDB_MODE=offline`` it needs neither
    network nor account, and ``wandb sync`` uploads it later. A run that is resumed is a new one there, from the step of
    its checkpoint on, in the same group, which has the name of the run's folder.
    """

    package = "wandb"

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self._run = self.library.init(
            project=os.environ.get("WANDB_PROJECT", "emugraph"),
            name=name,
            group=os.environ.get("WANDB_RUN_GROUP", name),
            config=dict(settings),
            dir=os.environ.get("WANDB_DIR", str(path)),
            reinit="create_new",  # a run that the caller has open stays as it is
            settings=self.library.Settings(console="off"),  # metrics, not what the terminal shows
        )

    def record(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self, outcome: Outcome) -> None:
        self._run.finish(exit_code=0 if outcome == "finished" else 1)


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
