"""emugraph: link prediction on knowledge graphs with hard negatives by embedding mutation, on DGL and PyTorch.

    >>> import emugraph
    >>> kg = emugraph.load_dataset("wn18rr")                      # doctest: +SKIP
    >>> run = emugraph.train(kg, model="transe")                  # doctest: +SKIP
    >>> run.evaluate("test")                                      # doctest: +SKIP

Names are loaded when they are first used, so that ``import emugraph`` costs next to nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from emugraph import _checkout, _renamed
from emugraph._version import __version__
from emugraph.errors import DivergedError, EmugraphError, InputError

if TYPE_CHECKING:
    from emugraph._dgl import dgl
    from emugraph.data.graph import KnowledgeGraph
    from emugraph.data.vocabulary import Vocabulary
    from emugraph.datasets.loading import load_dataset
    from emugraph.evaluation.ranking import evaluate
    from emugraph.prediction.trained_model import TrainedModel
    from emugraph.runs.callbacks import Callback
    from emugraph.runs.contents import Checkpoints
    from emugraph.runs.profiling import Profile
    from emugraph.runs.run import Run, load, resume, train
    from emugraph.runs.session import Interrupted
    from emugraph.training.settings import Settings

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

if importlib.util.find_spec("dgl") is None:
    __all__.remove("dgl")  # asked for by name, it says so

_HOME = {
    "Callback": "runs.callbacks",
    "Checkpoints": "runs.contents",
    "Interrupted": "runs.session",
    "KnowledgeGraph": "data.graph",
    "Profile": "runs.profiling",
    "Run": "runs.run",
    "Settings": "training.settings",
    "TrainedModel": "prediction.trained_model",
    "Vocabulary": "data.vocabulary",
    "dgl": "_dgl",
    "evaluate": "evaluation.ranking",
    "load": "runs.run",
    "load_dataset": "datasets.loading",
    "resume": "runs.run",
    "train": "runs.run",
}

_renamed.install()
_checkout.install()


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"emugraph.{_HOME[name]}"), name)
    raise AttributeError(f"module 'emugraph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
