"""``emugraph.cli`` and ``emugraph.datasets`` in a checkout that is not installed.

There they lie beside this folder; installed, they are packages in it (``package_dir`` in setup.cfg). Nothing else that
lies beside this folder becomes a part of emugraph.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = {"emugraph.cli": _ROOT / "cli", "emugraph.datasets": _ROOT / "datasets"}


class _Folders(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder = _FOLDERS.get(fullname)
        if folder is None:
            return None
        return spec_from_file_location(fullname, folder / "__init__.py", submodule_search_locations=[str(folder)])


def install() -> None:
    """Have ``import`` find the two, where this is a checkout."""
    if (_ROOT / "setup.cfg").is_file() and (_ROOT / "datasets" / "bundled").is_dir():
        sys.meta_path.insert(0, _Folders())  # before an installation of another checkout
