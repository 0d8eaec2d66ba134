"""The folders in which data sets lie, and how one gets into the cache whole."""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from emugraph.errors import InputError
from emugraph.files import cache_root, explain_write_errors

_SECONDS_UNTIL_LEFT_OVER = 24 * 3600


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
    given = os.environ.get(variable)
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise InputError(f"{variable} is {given!r}, which is no folder; correct it, or unset it")
    return folder


@contextmanager
def building(target: Path, is_sound: Callable[[Path], bool]) -> Iterator[Path]:
    """A new folder beside ``target``, which becomes ``target`` at once when the block ends without an error.

    Where another process makes the same folder meanwhile, the one that is there first stays if it is sound. What a
    killed process leaves behind is removed a day later.

    Raises:
        EmugraphError: the cache cannot be written to, or the disk is full.
    """
    with explain_write_errors(target, advice="set EMUGRAPH_CACHE to another folder"):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(target.parent)
        folder = _unfinished(target)
        folder.mkdir()
        try:
            yield folder
            _publish(folder, target, is_sound)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unfinished(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")


def _publish(folder: Path, target: Path, is_sound: Callable[[Path], bool]) -> None:
    while True:
        try:
            folder.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if is_sound(target):
            return
        # Damaged: out of the way with it, unless another process was quicker to do that.
        aside = _unfinished(target)
        try:
            target.rename(aside)
        except FileNotFoundError:
            continue
        shutil.rmtree(aside, ignore_errors=True)


def _remove_left_overs(folder: Path) -> None:
    limit = time.time() - _SECONDS_UNTIL_LEFT_OVER
    for path in folder.glob(".*.partial"):
        try:
            newest = max(part.stat().st_mtime for part in (path, *path.rglob("*")))
        except FileNotFoundError:
            continue  # another process has just finished with it
        if newest < limit:
            shutil.rmtree(path, ignore_errors=True)
