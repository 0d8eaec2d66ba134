"""The folders in which data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from emugraph.errors import InputError
from emugraph.io.atomic import cache_root


def cache_folder() -> Path:
    """Where downloaded data sets are kept: ``datasets`` in $EMUGRAPH_CACHE or the user's own cache."""
    return cache_root() / "datasets"


def cards_folder() -> Path:
    """Where the user's own cards lie: $EMUGRAPH_CARDS, or ``datasets`` in the user's configuration of emugraph."""
    return _folder_in("EMUGRAPH_CARDS") or platformdirs.user_config_path("emugraph") / "datasets"


def own_folder() -> Path | None:
    """$EMUGRAPH_DATASETS: the folder with data sets that the user has put there, if there is one."""
    return _folder_in("EMUGRAPH_DATASETS")


def _folder_in(variable: str) -> Path | None:
    value = os.environ.get(variable)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise InputError(f"{variable} is {value!r}, which is no folder; correct it, or unset it")
    return folder
