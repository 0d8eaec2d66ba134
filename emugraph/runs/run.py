"""Runs: training one, opening one from its folder, and going on with one that was cut off."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from emugraph._renamed import keyword, warn
from emugraph.data.graph import KnowledgeGraph
from emugraph.embeddings.table import start_from
from emugraph.errors import EmugraphError, InputError
from emugraph.io.mapped_memory import MappedMemory
from emugraph.models import Model
from emugraph.prediction.calibration import Calibration
from emugraph.prediction.trained_model import TrainedModel
from emugraph.runs.callbacks import Callback, exit_all
from emugraph.runs.contents import (
    Checkpoints,
    Config,
    load_embeddings,
    read_calibrations,
    read_checkpoint,
    read_config,
    read_graph,
    read_metrics,
    read_model,
    remove_results,
    write_calibrations,
    write_config,
    write_environment,
    write_graph,
)
from emugraph.runs.folder import RunFolder
from emugraph.runs.session import Session
from emugraph.system import choose_device, with_matmul_precision
from emugraph.training.resolve import resolve_settings
from emugraph.training.settings import Settings
from emugraph.training.trainer import Trainer


class Run(TrainedModel):
    """A trained model with its graph and settings.

    Args:
        path: its folder.
        kg: the graph that it was trained on.
        settings: the settings that ran.
        model: the score function with its best weights.
        metrics: the final metrics: ``seconds``, ``steps``, ``best_step``, and for each evaluated split its metrics.
        calibrations: see :class:`TrainedModel`.
    """

    @keyword("figures", "metrics")
    def __init__(
        self,
        path: Path,
        kg: KnowledgeGraph,
        settings: Settings,
        model: Model,
        metrics: dict[str, Any] | None = None,
        calibrations: tuple[Calibration | None, Calibration | None] | None = None,
    ) -> None:
        super().__init__(kg, model, calibrations)
        self.path = path
        self.settings = settings
        self.metrics = metrics or {}

    def resume(self, *, steps: int | None = None, **options: Any) -> Run:
        """Go on with the training; see :func:`emugraph.resume`."""
        return resume(self.path, steps=steps, **options)

    @property
    def figures(self) -> dict[str, Any]:
        """The old name of ``metrics``."""
        warn("Run.figures", "Run.metrics")
        return self.metrics

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.settings.model} on {self.kg.name})"


def train(
    kg: KnowledgeGraph,
    model: str = "transe",
    *,
    emu: bool = True,
    output: str | Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    callbacks: Iterable[Callback] = (),
    init_from: str | Path | None = None,
    map_to: str | Path | None = None,
    cuda_graphs: bool = False,
    matmul_precision: str | None = None,
    **changes: Any,
) -> Run:
    """Train a model and evaluate its best weights on validation and test.

    Args:
        kg: the graph; its validation triples choose the best weights and may stop the run early.
        model: the score function: transe, transe-l2, distmult, complex or rotate.
        emu: train with embedding mutation and its labels (EMU); otherwise with plain cross entropy.
        output: the run's folder, which must not exist; None for ``runs/DATASET-MODEL-DATE-TIME``.
        settings: complete settings, in place of ``model``, ``emu`` and ``changes``; None for the preset of this data
            set, model and method, or the defaults where there is none.
        device: "auto", "cpu" or "cuda".
        checkpoints: when to write down where the run stands; None for every five minutes.
        callbacks: see :class:`Callback`.
        init_from: embeddings to start from, where labels are the same: a run's folder, or a file of
            :func:`emugraph.embeddings.read_embeddings`. What has none starts at random.
        map_to: a folder in whose files the tables and the optimizer's state lie in place of memory, for those that are
            larger than it; see :class:`emugraph.io.mapped_memory.MappedMemory`. CPU only.
        cuda_graphs: record the steps and replay them, so that a CUDA device does not wait for the host to start their
            many small kernels; the numbers are the same up to rounding. See :mod:`emugraph.training.cuda_graphs`.
        matmul_precision: "highest", "high" or "medium", while this trains; None for what PyTorch is set to. See
            :func:`emugraph.system.with_matmul_precision`.
        changes: settings that differ from the preset or the defaults, by name: see :class:`emugraph.Settings`.

    Returns:
        The run, its model with the best weights, its metrics under ``run.metrics``. The folder has the same.

    Raises:
        InputError: unknown names, values that do not fit, a folder that exists, or no triples to train on.
        DivergedError: the loss or a gradient is not finite.
        EmugraphError: the folder cannot be written, or memory does not suffice.
        Interrupted: Ctrl-C or SIGTERM came (a KeyboardInterrupt); :func:`resume` goes on.
    """
    if not isinstance(kg, KnowledgeGraph):
        raise InputError(f"train needs a KnowledgeGraph, not {kg!r:.50}; emugraph.load_dataset(...) gives one")
    if settings is None:
        settings, _ = resolve_settings(kg, model, changes, emu=emu)
    elif changes:
        raise InputError(f"give either complete settings or single ones ({', '.join(changes)}), not both")
    chosen = choose_device(device)
    if not len(kg.train):
        raise InputError(f"{kg.name} has no training triples")
    path = Path(output) if output is not None else default_folder(kg, settings)
    check_new(path)
    config = Config(kg.name, settings, checkpoints or Checkpoints(), None if init_from is None else str(init_from))
    with with_matmul_precision(matmul_precision):
        trainer = _build(kg, settings, chosen, map_to, cuda_graphs)
        if init_from is not None:
            trainer.started_from = start_from(trainer.model, kg, load_embeddings(Path(init_from)))
        with RunFolder.create(path) as folder:
            write_graph(folder, kg)
            write_environment(folder, chosen)
            write_config(folder, config)
        with folder.lock():
            return _run(Session(trainer, folder, config.checkpoints, tuple(callbacks)))


def load(path: str | Path, *, device: str = "auto") -> Run:
    """Open a run folder.

    Args:
        path: the folder that ``emugraph train`` wrote.
        device: "auto", "cpu" or "cuda".

    Raises:
        InputError: there is no such folder, or it is not a run's.
        EmugraphError: a file in it is damaged or missing.
    """
    folder = RunFolder.open(path)
    config = read_config(folder)
    kg = read_graph(folder, config.dataset)
    model = read_model(folder, kg, config.settings).to(choose_device(device))
    return Run(folder.path, kg, config.settings, model, read_metrics(folder), read_calibrations(folder))


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    callbacks: Iterable[Callback] = (),
    map_to: str | Path | None = None,
    cuda_graphs: bool = False,
    matmul_precision: str | None = None,
) -> Run:
    """Go on with a run from its last checkpoint, or from its beginning where there is none.

    On a CPU, with the same number of threads and the same versions, the weights and the metrics are in the end those of
    a run that was never cut off, bit for bit. A checkpoint of a CUDA device can be gone on with on a CPU, and the
    reverse, but not with the random numbers that were to come: they begin anew, with a warning.

    Args:
        path: the folder that training wrote.
        steps: how many steps the whole run is to have, no fewer than it was to have before; None for as many. The
            learning rate then follows the schedule of the longer run from here on.
        device: "auto", "cpu" or "cuda".
        checkpoints: when to write down where the run stands; None for what it did before.
        callbacks: see :class:`Callback`.
        map_to, cuda_graphs, matmul_precision: see :func:`train`.

    Returns:
        The run. A run that had ended is opened, and nothing else is done.

    Raises:
        InputError: there is no such run, another process trains in the folder, or ``steps`` are too few.
        EmugraphError: a file is damaged or missing, or the checkpoint is for another graph or other settings.
        Interrupted: as for :func:`train`, as are the errors of training.
    """
    chosen = choose_device(device)
    folder = RunFolder.open(path)
    if folder.is_old:
        raise InputError(f"{path} was trained by a version without checkpoints: it can be opened, but not resumed")
    with with_matmul_precision(matmul_precision), folder.lock():
        config = read_config(folder)
        longer = _longer(config, steps, checkpoints, folder.path)
        checkpoint = read_checkpoint(folder)
        if checkpoint is None and config.init_from is not None:
            raise InputError(
                f"{folder.path} was ended before it kept the embeddings of {config.init_from} that it starts from; "
                "train anew with --init-from"
            )
        kg = read_graph(folder, config.dataset)
        trainer = _build(kg, longer.settings, chosen, map_to, cuda_graphs)
        session = Session(trainer, folder, longer.checkpoints, tuple(callbacks))
        if checkpoint is not None:
            name, state = checkpoint
            try:
                session.load(state)
            except ValueError as error:
                raise EmugraphError(f"{folder.path / name} does not fit its run: {error}") from error
        if session.done and read_metrics(folder) is not None:
            return load(folder.path, device=device)
        write_config(folder, longer)
        remove_results(folder)
        folder.cut_log(session.trainer.step_count)
        if checkpoint is not None:
            session.put_back_best(state)
        return _run(session)


def _longer(config: Config, steps: int | None, checkpoints: Checkpoints | None, path: Path) -> Config:
    """A run's configuration with more steps, and with other checkpoints."""
    settings = config.settings
    if steps is not None:
        if steps < settings.steps:
            raise InputError(f"{path} is a run of {settings.steps:,} steps; it can be given more, not {steps:,}")
        settings = Settings.create({**settings.model_dump(), "steps": steps})
    return replace(config, settings=settings, checkpoints=checkpoints or config.checkpoints)


def _build(
    kg: KnowledgeGraph, settings: Settings, device: torch.device, map_to: str | Path | None, cuda_graphs: bool
) -> Trainer:
    if map_to is not None and device.type != "cpu":
        raise InputError(f"tables in files serve a CPU alone, not {device}; leave them out, or give device cpu")
    if cuda_graphs and device.type != "cuda":
        raise InputError(f"CUDA graphs need a CUDA device, and this is {device}; leave them out")
    memory = None if map_to is None else MappedMemory(Path(map_to))
    with _explain_lack_of_memory("--dim or --cache-size" if "nscaching" in settings.sampler else "--dim"):
        trainer = Trainer(kg, settings, device, memory)
    if cuda_graphs:
        trainer.record()
    return trainer


def _run(session: Session) -> Run:
    trainer = session.trainer
    try:
        with _explain_lack_of_memory("--negatives, --batch-size or --dim"):
            metrics = session.run()
        run = Run(session.folder.path, trainer.kg, trainer.settings, trainer.model, metrics)
        with trainer.section("calibration"):
            write_calibrations(session.folder, run.calibrations)
        for callback in session.callbacks:
            callback.on_end(run)
    except BaseException as error:
        exit_all(session.callbacks, error)
        raise
    exit_all(session.callbacks)
    return run


@contextmanager
def _explain_lack_of_memory(to_lower: str) -> Iterator[None]:
    """Turn a failed allocation into one sentence with the settings to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lacking = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if lacking or any(words in str(error) for words in ("allocate memory", "Storage size", "size overflow")):
            raise EmugraphError(f"not enough memory; lower {to_lower}") from error
        raise


def default_folder(kg: KnowledgeGraph, settings: Settings) -> Path:
    """``runs/DATASET-MODEL-DATE-TIME``, with a number added where that exists."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = re.sub(r"[^\w.-]+", "_", kg.name).strip(".")[:100]
    base = Path("runs") / f"{name}-{settings.model}-{stamp}"
    path, number = base, 2
    while path.exists():
        path, number = base.with_name(f"{base.name}-{number}"), number + 1
    return path


def check_new(path: Path) -> None:
    """Raise InputError if the folder already holds something."""
    try:
        taken = path.is_file() or (path.is_dir() and any(path.iterdir()))
    except OSError as error:
        raise InputError(
            f"{path} cannot be a run folder: {error.strerror}; choose another one with --output"
        ) from error
    if taken:
        what = "is a file" if path.is_file() else "already exists and is not empty"
        raise InputError(f"{path} {what}; choose another folder with --output")
