"""Readable names of entities."""

from __future__ import annotations

import gzip
import json
import logging
import lzma
import zlib
from pathlib import Path

from emugraph.datasets.cache import cache_folder, own_folder
from emugraph.datasets.card import Card, Names
from emugraph.datasets.fetch import fetch
from emugraph.datasets.locate import BUNDLED, show_progress
from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import building

_log = logging.getLogger(__name__)


def readable_names(card: Card, *, progress: bool | None = None) -> dict[str, str]:
    """The readable names of a data set's entities, by label.

    They are a convenience: where they cannot be had, a note goes to the log and there are none.

    Args:
        card: the data set.
        progress: show a bar on standard error while downloading; None: if that is a terminal.
    """
    if card.names is None:
        return {}
    try:
        file = _find(card, card.names) or _download(card, card.names, show_progress(progress))
        return _parse(_content(file, card.names), card.names.format, file)
    except EmugraphError as error:
        reason = " ".join(str(error).split())
        _log.warning(
            "%s has no readable names; to have them, put %s into a folder and set EMUGRAPH_DATASETS to it (%s)",
            card.name, card.names.name, reason,
        )  # fmt: skip
        return {}


def _find(card: Card, names: Names) -> Path | None:
    if names.bundled is not None:
        return BUNDLED / names.bundled
    own = own_folder()
    candidates = [own / names.name, own / f"{names.name}.gz"] if own else []
    return next((file for file in candidates if file.is_file()), None)


def _cached_file(card: Card, names: Names) -> Path:
    # A data set's own name has no full stop, so no data set can be called that.
    return cache_folder() / f"{card.name}.names" / names.name


def _download(card: Card, names: Names, progress: bool) -> Path:
    target = _cached_file(card, names)

    def is_sound(folder: Path) -> bool:
        try:
            names.verify(folder / names.name)
        except EmugraphError:
            return False
        return True

    if not is_sound(target.parent):
        with building(target.parent, is_sound) as folder:
            fetch(names.urls, folder / names.name, names, progress=progress, patient=False)
    return target


def _content(file: Path, names: Names) -> bytes:
    """The file's content, decompressed and checked."""
    decompress = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(file.suffix, bytes)
    try:
        content = decompress(file.read_bytes())
    except OSError as error:
        raise EmugraphError(f"cannot read {file}: {error.strerror or error}") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise EmugraphError(f"{file} is damaged: {error}") from error
    names.verify_content(content, file)
    return content


def _parse(content: bytes, format: str, file: Path) -> dict[str, str]:
    try:
        if format == "tsv":
            return dict(line.split("\t") for line in content.decode("utf-8").split("\n") if line)
        return {label: entry["label"] for label, entry in json.loads(content).items() if entry.get("label")}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{file} has not the format {format!r} that its card gives: {error}") from error
