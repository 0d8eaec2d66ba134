"""The names that things had before, for one release: they work and warn.

``emugraph.graph`` is now ``emugraph.data.graph``: importing the old module gives one whose names are those of the new,
after a DeprecationWarning that says which. Where a package has taken an old module's name, as ``emugraph.evaluation``
has, :func:`names_of` finds what the module had.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MODULES = {
    "analysis.figures": "analysis.plots",
    "calibration": "prediction.calibration",
    "checksums": "io.checksums",
    "classification": "evaluation.classification",
    "comparison": "evaluation.comparison",
    "completion": "prediction.new_triples",
    "convert": "data.convert",
    "embedding_files": "embeddings.files",
    "environment": "system",
    "files": "io.atomic",
    "folder": "runs.folder",
    "graph": "data.graph",
    "known": "data.answer_index",
    "labels": "data.label_store",
    "lookup": "data.label_index",
    "memory": "io.mapped_memory",
    "models.fused": "models.kernel_model",
    "neighbors.finding": "neighbors.candidate_search",
    "neighbors.size": "neighbors.size_estimate",
    "neighbors.store": "neighbors.neighborhood_files",
    "numbering": "data.label_numbering",
    "objective": "training.objective",
    "presets": "training.presets",
    "profiling": "runs.profiling",
    "questions": "prediction.queries",
    "rankings": "evaluation.breakdown",
    "reading": "data.triple_files",
    "recording": "training.cuda_graphs",
    "reproduction.running": "reproduction.run_cells",
    "sampling.configured": "training.build",
    "sampling.every": "sampling.one_vs_all",
    "sampling.known": "sampling.filtering",
    "sampling.named": "sampling.registry",
    "saving": "runs.contents",
    "session": "runs.session",
    "settings": "training.settings",
    "shapes": "static_shapes",
    "similarity": "prediction.similarity",
    "splitting": "data.random_split",
    "state": "io.state_dict",
    "statistics": "data.statistics",
    "stored": "data.stored_triples",
    "tables": "io.row_files",
    "tensors": "io.tensor_files",
    "toml": "io.toml",
    "trackers": "runs.trackers",
    "trained": "prediction.trained_model",
    "tuning_plots": "tuning.plots",
    "vocabulary": "data.vocabulary",
}
"""Old modules and new ones, both without ``emugraph.``."""

PACKAGES = {
    "embeddings": "embeddings.table",
    "evaluation": "evaluation.ranking",
    "prediction": "prediction.top_k",
    "runs": "runs.run",
    "training": "training.trainer",
    "tuning": "tuning.search",
}
"""Packages that have the name of an old module, and where most of it is now."""

NAMES: dict[str, dict[str, str]] = {
    "calibration": {"QUESTIONS": "prediction.calibration:QUERIES"},
    "environment": {"describe": "info"},
    "folder": {"FIGURES": "runs.folder:METRICS"},
    "graph": {"load_dataset": "datasets.loading"},
    "kernels.eager": {"outer": "kernels.eager:link"},
    "known": {"KnownAnswers": "data.answer_index:AnswerIndex"},
    "lookup": {"Lookup": "data.label_index:LabelIndex"},
    "models": {"SIDES": "types", "Side": "types"},
    "models.base": {"SIDES": "types"},
    "models.fused": {"Fused": "models.kernel_model:KernelModel"},
    "neighbors.finding": {"undirected": "neighbors.adjacency", "adjacency": "neighbors.adjacency"},
    "numbering": {"Numbering": "data.label_numbering:LabelNumbering"},
    "prediction": {"COLUMN": "types", "Part": "types"},
    "questions": {
        "Question": "prediction.queries:Query",
        "asked_part": "prediction.queries:target_part",
        "read_questions": "prediction.queries:read_queries",
    },
    "reading": {"SPLITS": "types"},
    "reproduction.experiments": {"MASK_RUNS": "reproduction.experiments:MASK_GROUPS"},
    "sampling": {
        "EveryEntity": "sampling.one_vs_all:OneVsAll",
        "SidesInTurn": "sampling.batches:AlternatingSides",
    },
    "sampling.batches": {"SidesInTurn": "sampling.batches:AlternatingSides"},
    "sampling.every": {"EveryEntity": "sampling.one_vs_all:OneVsAll"},
    "sampling.known": {"KnownTriples": "sampling.filtering:TripleFilter"},
    "saving": {"fingerprint": "data.fingerprint"},
    "session": {"Callback": "runs.callbacks"},
    "trackers": {"FIGURES": "runs.trackers:METRICS"},
    "training": {"build_optimizer": "training.build", "resolve_settings": "training.resolve"},
}
"""What an old module, or a package that has its name, had and has no more: the module where it is now, and its new name
after a colon where that is another one."""


def _find(old: str, name: str) -> Any:
    """What ``name`` was in the module ``old``, after a warning that says where it is now."""
    place = NAMES.get(old, {}).get(name) or MODULES.get(old) or PACKAGES.get(old, "")
    module, _, new = place.partition(":")
    new = new or name
    # A submodule that is about to be imported is no old name.
    foreign = name.startswith("_") or (old in PACKAGES and find_spec(f"emugraph.{old}.{name}") is not None)
    home = importlib.import_module(f"emugraph.{module}") if module and not foreign else None
    if not hasattr(home, new):
        raise AttributeError(f"module 'emugraph.{old}' has no attribute {name!r}")
    value = getattr(home, new)
    warn(f"emugraph.{old}.{name}", f"emugraph.{module}.{new}")
    return value


def warn(old: str, new: str) -> None:
    """Say that a name is another one now, at the line outside of emugraph (and pydantic) that used the old name."""
    message = f"{old} is now {new}; the old name goes with the next release"
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in _WITHIN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, DeprecationWarning, stacklevel=level)


_WITHIN = ("emugraph", "pydantic", "importlib")


def keyword(old: str, new: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function take a keyword argument by its old name too."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def wrapper(*arguments: P.args, **options: P.kwargs) -> T:
            if old in options:
                if new in options:
                    raise TypeError(f"{old} is now {new}, and both are given")
                warn(f"{function.__qualname__}({old}=...)", f"{new}=...")
                options[new] = options.pop(old)
            return function(*arguments, **options)

        return wrapper

    return decorate


def names_of(package: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package, by its full name, that knows the names it had."""
    return lambda name: _find(package.removeprefix("emugraph."), name)


class _OldModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _find(self.__name__.removeprefix("emugraph."), name)


class _OldModules(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.startswith("emugraph.") and fullname.removeprefix("emugraph.") in MODULES:
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run: names are found when they are asked for."""


def install() -> None:
    """Have ``import`` know the old modules."""
    sys.meta_path.append(_OldModules())
