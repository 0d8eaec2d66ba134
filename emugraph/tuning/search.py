"""Settings that suit a graph, found by trying: Optuna over what matters, judged by validation alone."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emugraph.data.fingerprint import fingerprint
from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import EmugraphError, InputError
from emugraph.io import toml
from emugraph.io.atomic import write_text
from emugraph.models import model_class
from emugraph.runs.callbacks import Callback
from emugraph.runs.contents import Checkpoints
from emugraph.runs.run import train
from emugraph.training.resolve import resolve_settings
from emugraph.training.settings import Settings, with_current_names
from emugraph.training.trainer import Trainer

if TYPE_CHECKING:
    import optuna

HEARTBEAT = 60
"""Seconds between the signs of life of a trial; one that gives none for twice as long counts as failed."""


@dataclass(frozen=True)
class Range:
    """What values of a setting are tried: one of ``choices``, or from ``low`` to ``high``.

    Args:
        choices: these and no others.
        low: the lowest.
        high: the highest.
        log: by orders of magnitude.
        emu: only with EMU.
    """

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    emu: bool = False


RANGES: dict[str, Range] = {
    "learning_rate": Range(low=5e-4, high=0.1, log=True),
    "regularization": Range(low=1e-4, high=3.0, log=True),
    "init_scale": Range(low=0.01, high=0.5, log=True),
    "reciprocal": Range(choices=(False, True)),
    "batch_size": Range(choices=(500, 1000, 2000)),
    "negatives": Range(choices=(64, 256, 1000, 2000)),
    "mutation_rate": Range(low=0.2, high=0.95, emu=True),
    "beta": Range(low=0.05, high=0.95, emu=True),
    "alpha": Range(low=0.01, high=30.0, log=True, emu=True),
}
"""What is searched, unless it is given."""


@dataclass(frozen=True)
class Tuned:
    """What a study has found.

    Args:
        study: Optuna's own, with all trials.
        settings: the best settings, complete.
        measured: ``valid_mrr`` and ``valid_hits@10`` of the best trial, its ``steps`` and ``seconds``, how many
            ``trials`` were made.
    """

    study: optuna.Study
    settings: Settings
    measured: dict[str, Any]

    def write(self, path: Path, command: str) -> None:
        """Write the best settings as a preset, which ``emugraph train --preset FILE`` takes."""
        measured = {**self.measured, "command": command}
        write_text(path, toml.dumps({"settings": self.settings.to_toml(), "measured": measured}))


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Have Optuna say nothing but errors, since the caller says what is going on, and afterwards what it did before.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("optuna is not installed; pip install 'emugraph[tune]'") from error
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


@_quiet_optuna()
def tune(
    kg: KnowledgeGraph,
    model: str,
    *,
    trials: int = 20,
    emu: bool = True,
    storage: str | None = None,
    name: str | None = None,
    device: str = "auto",
    seed: int = 0,
    on_trial: Callable[[optuna.Study, optuna.trial.FrozenTrial], None] | None = None,
    **changes: Any,
) -> Tuned:
    """Search for settings with a high validation MRR.

    The first trial is the preset of the data set, or the defaults, as near as the ranges allow. Values come from
    the tree-structured Parzen estimator; a trial whose validation MRR is below the median of the others' at the same
    step is ended. Nothing looks at the test triples.

    Args:
        kg: the graph, with validation triples.
        model: the score function.
        trials: how many in all; with a storage, those that are in it count.
        emu: with embedding mutation, or plain cross entropy.
        storage: where Optuna keeps the study, as ``sqlite:///study.db``: the same call goes on with it, and several at
            once share it. None for memory alone.
        name: the study's; None for one of data set, model and method.
        device: "auto", "cpu" or "cuda".
        seed: of the search. With one process, the same seed gives the same trials.
        on_trial: called after each trial.
        changes: settings that keep these values, and are not searched.

    Raises:
        InputError: unknown settings, no validation triples, a study of another graph or with other settings given, no
            trial that came to its end, or Optuna is not installed.

    Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019; Bergstra et al.,
    "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
    """
    import optuna as library

    if trials < 1:
        raise InputError(f"{trials} trials were asked for; at least one is needed")
    if not len(kg.valid):
        raise InputError(f"{kg.name} has no validation triples to judge settings by")
    start, _ = resolve_settings(kg, model, changes, emu=emu)
    method = "emu" if start.mixing == "emu" else "plain"
    searched = {
        setting: range_
        for setting, range_ in RANGES.items()
        if setting not in changes and (method == "emu" or not range_.emu)
    }
    if start.negatives == "all":
        searched.pop("negatives", None)
    study = _open(library, storage, name or f"{kg.name}-{start.model}-{method}", seed)
    _check_same(study, kg, start, searched)
    if not study.trials:
        study.enqueue_trial({setting: _within(getattr(start, setting), r, start) for setting, r in searched.items()})

    blind = replace(kg, test=kg.test[:0])

    def objective(trial: optuna.Trial) -> float:
        values = {setting: _suggest(trial, setting, range_) for setting, range_ in searched.items()}
        settings = Settings.create({**start.model_dump(), **values})
        report = _Report(trial, library.TrialPruned)
        with tempfile.TemporaryDirectory(prefix="emugraph-tune-") as folder:
            try:
                run = train(
                    blind, settings=settings, output=Path(folder) / "run", device=device,
                    checkpoints=Checkpoints(minutes=0), callbacks=[report],
                )  # fmt: skip
            except InputError:
                raise
            except EmugraphError as error:
                trial.set_user_attr("error", str(error).split(". ")[0])
                raise _TrialError from error
        for metric in ("seconds", "steps"):
            trial.set_user_attr(metric, run.metrics[metric])
        trial.set_user_attr("hits@10", report.best["hits@10"])
        return float(report.best["mrr"])

    while _finished(study) < trials:  # one by one, so that several processes make no more than are asked for
        study.optimize(objective, n_trials=1, catch=(_TrialError,), callbacks=[on_trial] if on_trial else None)
    return _result(study, start, searched)


class _TrialError(Exception):
    """A trial came to nothing, by numbers that are not finite or too little memory; the study goes on."""


class _Report(Callback):
    """Tells Optuna each validation's MRR, and ends a trial that it gives up."""

    def __init__(self, trial: optuna.Trial, pruned: type[Exception]) -> None:
        self.trial = trial
        self.pruned = pruned
        self.best: dict[str, Any] = {"mrr": -1.0}

    def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
        if best:
            self.best = metrics
        self.trial.report(metrics["mrr"], trainer.step_count)
        if self.trial.should_prune():
            raise self.pruned


def _open(library: Any, storage: str | None, name: str, seed: int) -> optuna.Study:
    """The study of a name, a new one or one that exists."""
    kept = None
    if storage is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)  # signs of life are
                kept = library.storages.RDBStorage(storage, heartbeat_interval=HEARTBEAT, grace_period=2 * HEARTBEAT)
        except Exception as error:  # of SQLAlchemy, for an address that it does not take or a file that is no database
            hint = "" if "://" in storage else f"; for a file, give sqlite:///{storage}"
            raise InputError(f"{storage} cannot keep a study: {str(error).splitlines()[0]}{hint}") from error
    study: optuna.Study = library.create_study(
        storage=kept,
        study_name=name,
        load_if_exists=True,
        direction="maximize",
        pruner=library.pruners.MedianPruner(n_startup_trials=4),
    )
    study.sampler = library.samplers.TPESampler(seed=seed + len(study.trials))  # others at work draw other values
    if kept is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
            library.storages.fail_stale_trials(study)
    return study


def _check_same(study: optuna.Study, kg: KnowledgeGraph, start: Settings, searched: Mapping[str, Range]) -> None:
    """Raise InputError if a study is not of this graph and of these fixed settings; note them in a new one."""
    fixed = start.model_dump(mode="json", exclude=set(searched))
    wanted = {"graph": fingerprint(kg)["sha256"], "given": fixed}
    for what, value in wanted.items():
        stored = study.user_attrs.get(what)
        if isinstance(stored, dict):
            stored = with_current_names(stored)
        if stored is None:
            study.set_user_attr(what, value)
        elif stored != value:
            what = "another graph" if what == "graph" else "other settings"
            raise InputError(f"the study {study.study_name!r} is of {what}; give it another name with --name")


def _within(value: Any, range_: Range, start: Settings) -> Any:
    """The value that a range has nearest to one."""
    if value is None:  # the model's own
        value = model_class(start.model).default_init_scale
    if range_.choices:
        return min(range_.choices, key=lambda choice: abs(choice - value))
    return min(max(value, range_.low), range_.high)


def _suggest(trial: optuna.Trial, setting: str, range_: Range) -> Any:
    if range_.choices:
        return trial.suggest_categorical(setting, range_.choices)
    return trial.suggest_float(setting, range_.low, range_.high, log=range_.log)


def _finished(study: optuna.Study) -> int:
    """How many trials have ended or are under way."""
    return sum(trial.state.name != "WAITING" for trial in study.get_trials(deepcopy=False))


def _result(study: optuna.Study, start: Settings, searched: Mapping[str, Range]) -> Tuned:
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if not done:
        raise InputError("no trial came to its end; give more --trials, or settings that train")
    best = study.best_trial
    settings = Settings.create({**start.model_dump(), **{name: best.params[name] for name in searched}})
    measured = {
        "valid_mrr": round(float(best.value or 0.0), 4),
        "valid_hits@10": round(best.user_attrs["hits@10"], 4),
        "steps": best.user_attrs["steps"],
        "seconds": best.user_attrs["seconds"],
        "trials": len(study.trials),
    }
    return Tuned(study, settings, measured)
