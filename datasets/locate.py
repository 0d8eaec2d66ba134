"""Where a data set lies on this machine, and how its files are had, checked.

In this order: the path in a user's card; $EMUGRAPH_DATASETS; the archive that comes with emugraph; the cache; a
download into the cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from emugraph.datasets.archive import extract
from emugraph.datasets.cache import cache_folder, own_folder
from emugraph.datasets.card import Card
from emugraph.datasets.fetch import fetch
from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import building, explain_write_errors

BUNDLED = Path(__file__).parent / "bundled"


def find(card: Card) -> Path | None:
    """The folder or archive where a data set lies, unchecked; None if it has to be downloaded."""
    own = _given(card)
    if own is not None:
        return own
    cached = _cached_folder(card)
    return cached if cached.is_dir() else None


def obtain(card: Card, *, progress: bool | None = None) -> Path:
    """Make sure that a data set lies on this machine, and check it.

    Args:
        card: the data set.
        progress: show a bar on standard error while downloading; None: if that is a terminal.

    Returns:
        The folder or archive where it lies.

    Raises:
        EmugraphError: a file has a wrong sum, the download failed, or the cache cannot be written to.
    """
    own = _given(card)
    if own is None:
        return _cached_or_downloaded(card, show_progress(progress))
    with _unpacked(card, own):
        return own


@contextmanager
def checked_files(card: Card, *, progress: bool | None = None) -> Iterator[Path]:
    """A folder with a data set's files, all checked; maybe a temporary one. Arguments and errors: :func:`obtain`."""
    own = _given(card)
    if own is None:
        yield _cached_or_downloaded(card, show_progress(progress))
    else:
        with _unpacked(card, own) as folder:
            yield folder


def show_progress(progress: bool | None) -> bool:
    """Whether to show a bar: as the caller says, or else if standard error is a terminal."""
    return sys.stderr.isatty() if progress is None else progress


def _given(card: Card) -> Path | None:
    """Where the data set lies without any download."""
    if card.local_path is not None:
        if not card.local_path.exists():
            raise InputError(f"{card.source}: path = {card.path!r}: {card.local_path} does not exist")
        return card.local_path
    return _in_own_folder(card) or (BUNDLED / card.bundled if card.bundled else None)


def _in_own_folder(card: Card) -> Path | None:
    """The archive, or else the extracted folder, in $EMUGRAPH_DATASETS; upper and lower case are the same."""
    own = own_folder()
    if own is None:
        return None
    try:
        there = {path.name.casefold(): path for path in sorted(own.iterdir())}
    except OSError as error:
        raise InputError(f"cannot read EMUGRAPH_DATASETS, {own}: {error.strerror}") from error
    archive = there.get(card.archive.name.casefold()) if card.archive else None
    folders = (there.get(name.casefold()) for name in (card.name, card.title))
    return archive or next((folder for folder in folders if folder is not None and folder.is_dir()), None)


@contextmanager
def _unpacked(card: Card, place: Path) -> Iterator[Path]:
    """The checked files of a folder, or of an archive in a temporary folder."""
    if place.is_dir():
        _verify(card, place)
        yield place
        return
    if card.archive and place.name.casefold() == card.archive.name.casefold():
        card.archive.verify(place)
    with ExitStack() as stack:
        temporary = Path(os.environ.get("TMPDIR", "/tmp"))
        with explain_write_errors(temporary, advice="set TMPDIR to another folder"):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emugraph-")))
            extract(place, list(card.files.by_split().values()), folder)
        _verify(card, folder)
        yield folder


def _verify(card: Card, folder: Path) -> None:
    for file in card.files.by_split().values():
        if not (folder / file.name).is_file():
            raise EmugraphError(f"{folder} has no {file.name}; {card.name} needs it")
        file.verify(folder / file.name)


def _cached_folder(card: Card) -> Path:
    return cache_folder() / card.name


def _is_sound(card: Card, folder: Path) -> bool:
    try:
        _verify(card, folder)
    except EmugraphError:
        return False
    return True


def _cached_or_downloaded(card: Card, progress: bool) -> Path:
    target = _cached_folder(card)
    if _is_sound(card, target):
        return target
    with building(target, lambda folder: _is_sound(card, folder)) as folder:
        try:
            _download(card, folder, progress)
        except EmugraphError as error:
            files = ", ".join(file.name for file in card.files.by_split().values())
            wanted = card.archive.name if card.archive else f"a folder {card.name} with {files}"
            raise EmugraphError(
                f"{error}\nTo get it another way, put {wanted} into a folder, and set EMUGRAPH_DATASETS to that folder"
            ) from error
        _verify(card, folder)
    return target


def _download(card: Card, folder: Path, progress: bool) -> None:
    files = list(card.files.by_split().values())
    if card.archive is None:
        for file in files:
            fetch(file.urls, folder / file.name, file, progress=progress)
        return
    # In the folder itself, because it is on the disk that has the space.
    archive = folder / card.archive.name
    fetch(card.archive.urls, archive, card.archive, progress=progress)
    extract(archive, files, folder)
    archive.unlink()
