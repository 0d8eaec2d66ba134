"""The one place that imports DGL, quietly and with every release that can be made to work.

DGL asks for its backend on first import, prints what it chose and writes a file into the home folder; naming the
backend in the environment keeps all three away. DGL 2.1.0, the only release on PyPI for Python 3.12, stops its own
import when torch is newer than the GraphBolt libraries that it ships; nothing here needs GraphBolt, so a placeholder
stands in for it, but only where no GraphBolt library for this torch exists.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from emugraph.errors import EmugraphError


class _GraphBoltPlaceholder(ModuleType):
    """Stands in for ``dgl.graphbolt``: any use of it says why it is not there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(
            f"dgl.graphbolt.{name} is not available: this DGL has no GraphBolt library for torch {torch.__version__}"
        )


def _lacks_graphbolt_library() -> bool:
    spec = importlib.util.find_spec("dgl")
    if spec is None or spec.origin is None:
        return False
    folder = Path(spec.origin).parent / "graphbolt"
    release = torch.__version__.split("+", maxsplit=1)[0]
    return folder.is_dir() and not any(folder.glob(f"*graphbolt_pytorch_{release}.*"))


def _import() -> ModuleType:
    os.environ.setdefault("DGLBACKEND", "pytorch")
    if "dgl.graphbolt" not in sys.modules and _lacks_graphbolt_library():
        sys.modules["dgl.graphbolt"] = _GraphBoltPlaceholder("dgl.graphbolt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import dgl
        except (ImportError, OSError) as error:
            raise EmugraphError(
                f"DGL cannot be imported with torch {torch.__version__}: {error}. "
                "Install the versions that are known to work together: pip install -c constraints.txt emugraph"
            ) from error
    module: ModuleType = dgl
    return module


dgl = _import()
