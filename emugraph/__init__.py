"""emugraph: link prediction on knowledge graphs with hard negatives by embedding mutation, on DGL and PyTorch.

    >>> import emugraph
    >>> kg = emugraph.load_dataset("wn18rr")                      # doctest: +SKIP
    >>> run = emugraph.train(kg, model="transe")                  # doctest: +SKIP
    >>> run.evaluate("test")                                      # doctest: +SKIP

Names are loaded when they are first used, so that ``import emugraph`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emugraph._version import __version__
from emugraph.errors import DivergedError, EmugraphError, InputError

if TYPE_CHECKING:
    from emugraph._dgl import dgl
    from emugraph.evaluation import evaluate
    from emugraph.graph import KnowledgeGraph, load_dataset
    from emugraph.profiling import Profile
    from emugraph.runs import Run, load, resume, train
    from emugraph.saving import Checkpoints
    from emugraph.session import Callback, Interrupted
    from emugraph.settings import Settings
    from emugraph.trained import TrainedModel
    from emugraph.vocabulary import Vocabulary

__all__ = [
    "Callback",
    "Checkpoints",
    "DivergedError",
    "EmugraphError",
    "InputError",
    "Interrupted",
    "KnowledgeGraph",
    "Profile",
    "Run",
    "Settings",
    "TrainedModel",
    "Vocabulary",
    "__version__",
    "dgl",
    "evaluate",
    "load",
    "load_dataset",
    "resume",
    "train",
]

_HOME = {
    "Callback": "session",
    "Checkpoints": "saving",
    "Interrupted": "session",
    "KnowledgeGraph": "graph",
    "Profile": "profiling",
    "Run": "runs",
    "Settings": "settings",
    "TrainedModel": "trained",
    "Vocabulary": "vocabulary",
    "dgl": "_dgl",
    "evaluate": "evaluation",
    "load": "runs",
    "load_dataset": "graph",
    "resume": "runs",
    "train": "runs",
}

# In a checkout, cli/ and datasets/ lie beside this folder; installed, they lie in it (package_dir in setup.cfg).
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "setup.cfg").is_file() and (_checkout / "datasets" / "bundled").is_dir():
    __path__.append(str(_checkout))


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"emugraph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'emugraph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
