"""A training run from where it stands to its end: validations, the log, checkpoints, best weights, final metrics."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor

from emugraph.data.fingerprint import fingerprint
from emugraph.errors import DivergedError, EmugraphError
from emugraph.evaluation.ranking import Evaluator
from emugraph.io.state_dict import State, part_of, same_shape, taken_over, under
from emugraph.runs.callbacks import Callback
from emugraph.runs.contents import (
    Checkpoints,
    read_weights,
    write_checkpoint,
    write_metrics,
    write_weights,
)
from emugraph.runs.folder import RunFolder
from emugraph.training.trainer import Trainer


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, by Ctrl-C or SIGTERM, and has written a checkpoint to go on from.

    Args:
        number: the signal's number.
        path: the run's folder.
        step: the step after which it stopped.
        kept: what the folder keeps, in words.
    """

    def __init__(self, number: int, path: Path, step: int, kept: str) -> None:
        super().__init__(f"stopped after step {step:,}; {kept}")
        self.number = number
        self.path = path
        self.step = step


class Session:
    """Runs a trainer to its end.

    Args:
        trainer: fresh, or with the state of the checkpoint that :meth:`load` is then given.
        folder: where all is written; this process must hold its lock.
        checkpoints: when to write them.
        callbacks: look in.
    """

    def __init__(
        self, trainer: Trainer, folder: RunFolder, checkpoints: Checkpoints, callbacks: Sequence[Callback] = ()
    ) -> None:
        self.trainer = trainer
        self.folder = folder
        self.checkpoints = checkpoints
        self.callbacks = callbacks
        self.evaluator = Evaluator(trainer.kg)
        self.valid = self._validation_triples()
        self.best_mrr = -1.0
        self.best_step = 0
        self.since_best = 0
        self.stopped = False
        """Whether patience has run out."""
        self._losses = torch.zeros((), dtype=torch.float32, device=trainer.device)
        self._steps = 0
        """Over how many steps the losses are summed."""
        self._seconds = 0.0
        """Of earlier sessions of this run."""
        self._started = self._written = time.monotonic()
        self._last: int | None = None
        """The step of the last checkpoint."""
        self._graph = fingerprint(trainer.kg)

    def _validation_triples(self) -> Tensor:
        valid, sample = self.trainer.kg.valid, self.trainer.settings.valid_sample
        if sample is None or sample >= len(valid):
            return valid
        generator = torch.Generator().manual_seed(self.trainer.settings.seed)
        return valid[torch.randperm(len(valid), generator=generator, device="cpu")[:sample]]

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, all sessions together."""
        return self._seconds + time.monotonic() - self._started

    @property
    def done(self) -> bool:
        """Whether there are no steps left to make."""
        return self.stopped or self.trainer.step_count >= self.trainer.settings.steps

    def run(self) -> dict[str, Any]:
        """Make the steps that are left, and rank validation and test with the best weights.

        Returns:
            the final metrics.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the step was finished, and a checkpoint written.
            DivergedError: the loss or a gradient is not finite.
            EmugraphError: something cannot be written.
        """
        with _Stopping() as stopping:
            for callback in self.callbacks:
                callback.on_start(self.trainer, self.folder.path)
            try:
                if self.trainer.started_from is not None and self._last is None:
                    self.checkpoint()  # of the embeddings that it starts from, so that a resumed run needs no more
                self._train(stopping)
                if self._last != self.trainer.step_count:
                    self.checkpoint()
                stopping.now(self._interrupted)
                return self._finish()
            except EmugraphError as error:
                error.args = (f"{error}. {self._kept(isinstance(error, DivergedError))}",)
                raise

    def _train(self, stopping: _Stopping) -> None:
        trainer, settings = self.trainer, self.trainer.settings
        while not self.done:
            loss = trainer.step()
            self._losses += loss
            self._steps += 1
            for callback in self.callbacks:
                callback.on_step(trainer, loss)
            if trainer.step_count % settings.valid_every == 0 or trainer.step_count == settings.steps:
                self._validate()
            if stopping.requested is not None:
                self.checkpoint()
                raise self._interrupted(stopping.requested)
            if self._due():
                self.checkpoint()

    # ---------------------------------------------------------------- validation

    def _validate(self) -> None:
        """Log the loss, validate, keep the weights if they are the best, and see whether patience has run out."""
        trainer, settings = self.trainer, self.trainer.settings
        trainer.check_finite()
        rate = trainer.learning_rate_of(trainer.step_count - 1)
        self._log(type="training", loss=self._losses.item() / self._steps, learning_rate=rate)
        self._losses.zero_()
        self._steps = 0
        with trainer.section("validation"):
            trainer.finish()
        if not len(self.valid):
            self._keep()
            return
        with trainer.section("validation"):
            metrics = self.evaluator.evaluate(trainer.model, self.valid)
        better = metrics["mrr"] > self.best_mrr
        if better:
            self.best_mrr = metrics["mrr"]
            self._keep()
        self.since_best = 0 if better else self.since_best + 1
        self.stopped = 0 < settings.patience <= self.since_best
        self._log(type="validation", best=better, **metrics)
        for callback in self.callbacks:
            callback.on_validation(trainer, metrics, better)

    def _keep(self) -> None:
        """Keep the weights as they are now in the run's folder, and not in memory a second time."""
        self.best_step = self.trainer.step_count
        with self.trainer.section("writing"):
            write_weights(self.folder, self.trainer.model.state_dict())

    def _log(self, **record: Any) -> None:
        self.folder.append_log({"step": self.trainer.step_count, "seconds": round(self.seconds, 2), **record})

    def _finish(self) -> dict[str, Any]:
        trainer = self.trainer
        if self.best_step != trainer.step_count:  # else they are the model's
            trainer.model.load_state_dict(read_weights(self.folder))
        metrics: dict[str, Any] = {
            "seconds": round(self.seconds, 1),
            "steps": trainer.step_count,
            "best_step": self.best_step,
        }
        for split in ("valid", "test"):
            if trainer.kg.count(split):
                with trainer.section("final metrics"):
                    metrics[split] = self.evaluator.evaluate(trainer.model, split)
        write_metrics(self.folder, metrics)
        return metrics

    # ---------------------------------------------------------------- checkpoints

    def _due(self) -> bool:
        every = self.checkpoints
        if every.steps is not None and self.trainer.step_count % every.steps == 0:
            return True
        return every.minutes > 0 and time.monotonic() - self._written >= 60 * every.minutes

    def checkpoint(self) -> None:
        """Write down where training stands."""
        self.trainer.check_finite()
        step = self.trainer.step_count
        with self.trainer.section("writing"):
            write_checkpoint(self.folder, step, self.state_dict(), self.checkpoints.keep)
        self._last, self._written = step, time.monotonic()
        for callback in self.callbacks:
            callback.on_checkpoint(self.trainer, self.folder.path)

    def _interrupted(self, number: int) -> Interrupted:
        return Interrupted(number, self.folder.path, self.trainer.step_count, self._kept())

    def _kept(self, diverged: bool = False) -> str:
        """A sentence about what a run that ended with an error has left."""
        kept = []
        if self.best_step:
            kept.append(f"the best weights so far, of step {self.best_step:,}")
        if self._last:
            goes_on = "" if diverged else f" (go on with: emugraph resume {self.folder.path})"
            kept.append(f"a checkpoint of step {self._last:,}{goes_on}")
        return f"{self.folder.path} keeps {', and '.join(kept) or 'no weights yet'}"

    def state_dict(self) -> State:
        """All that it takes to go on from here, with the graph and the settings that it is for."""
        state: State = {
            "graph": self._graph,
            "settings": self.trainer.settings.model_dump(mode="json"),
            "best_mrr": self.best_mrr,
            "best_step": self.best_step,
            "since_best": self.since_best,
            "stopped": self.stopped,
            "losses": self._losses,
            "loss_steps": self._steps,
            "seconds": self.seconds,
        }
        state |= under("trainer", self.trainer.state_dict())
        if self.best_step not in (0, self.trainer.step_count):  # else there are none, or they are the model's
            state |= under("best", read_weights(self.folder))
        return state

    def load(self, state: State) -> None:
        """Go on where ``state`` was taken from a session of the same graph and settings.

        Raises:
            ValueError: it is for another graph or other settings, or something in it does not fit.
        """
        with taken_over():
            _check_same("graph", state["graph"], self._graph)
            settings = self.trainer.settings.model_dump(mode="json")
            _check_same("settings", _fixed(state["settings"]), _fixed(settings))
            self.trainer.load_state_dict(part_of(state, "trainer"))
            self.best_mrr, self.best_step = float(state["best_mrr"]), int(state["best_step"])
            self.since_best, self.stopped = int(state["since_best"]), bool(state["stopped"])
            self._losses.copy_(same_shape(state["losses"], self._losses, "losses"))
            self._steps, self._seconds = int(state["loss_steps"]), float(state["seconds"])
            self._best_of(state)
            longer = state["settings"]["steps"] < self.trainer.settings.steps
        self._last = self.trainer.step_count
        if longer:
            self.stopped, self.since_best = False, 0  # more steps were asked for: patience begins anew

    def put_back_best(self, state: State) -> None:
        """Have the best weights of a loaded state in the run's folder, where those of a later step may be."""
        if self.best_step:
            write_weights(self.folder, self._best_of(state))

    def _best_of(self, state: State) -> dict[str, Tensor]:
        weights = self.trainer.model.state_dict()
        if self.best_step in (0, self.trainer.step_count):
            return weights
        best = part_of(state, "best")
        return {name: same_shape(best[name], tensor, name) for name, tensor in weights.items()}


def _fixed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a run cannot change on its way."""
    return {name: value for name, value in settings.items() if name not in ("steps", "patience")}


def _check_same(what: str, actual: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in expected | actual:
        if actual.get(name) != expected.get(name):
            there, here = actual.get(name), expected.get(name)
            raise ValueError(f"it is for other {what}: {name} is {there!r:.80} there, {here!r:.80} here")


class _Stopping:
    """Turns Ctrl-C and SIGTERM into a wish that is looked at between steps. A second Ctrl-C ends at once.

    In a thread other than the main one, signals are left alone, and so is one that the process ignores.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._raise: Callable[[int], BaseException] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Stopping:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def now(self, error: Callable[[int], BaseException]) -> None:
        """From here on do not wait: raise ``error`` of the signal's number as soon as it comes, or if it has come."""
        self._raise = error
        if self.requested is not None:
            raise error(self.requested)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._raise is not None:
            raise self._raise(number)
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number
