"""The one place that imports DGL, quietly and with every release that can be made to work, where it is installed.

DGL asks for its backend on first import, prints what it chose and writes a file into the home folder; naming the
backend in the environment keeps all three away. DGL 2.1.0, the only release on PyPI for Python 3.12, stops its own
import when torch is newer than the GraphBolt libraries that it ships; nothing here needs GraphBolt, so a placeholder
stands in for it, but only where no GraphBolt library for this torch exists.

DGL has no release for Python 3.13 and later. What needs it says so there, and everything else works without.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from emugraph.errors import EmugraphError

dgl: ModuleType
"""DGL, imported when it is first asked for; raises as :func:`load` does."""

FIRST_WITHOUT = (3, 13)
"""The first Python for which DGL has no release."""


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


def installed() -> bool:
    """Whether DGL is installed; told without loading it, which takes a second and 40 MB."""
    return importlib.util.find_spec("dgl") is not None


def load(use: str) -> ModuleType:
    """DGL itself, imported now if it is not yet.

    Args:
        use: what needs it, as a clause: "kg.graph is a DGL graph".

    Raises:
        EmugraphError: it is not installed, or does not import with this torch.
    """
    if not installed():
        if sys.version_info >= FIRST_WITHOUT:
            release = f"{sys.version_info[0]}.{sys.version_info[1]}"
            way = f"DGL has no release for Python {release}; use Python 3.10 to 3.12 and pip install dgl"
        else:
            way = "pip install -c constraints.txt dgl"
        raise EmugraphError(f"{use}, and DGL is not installed: {way}")
    return _import()


@functools.cache
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


def __getattr__(name: str) -> Any:
    if name == "dgl":
        return load("emugraph.dgl is DGL itself")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
