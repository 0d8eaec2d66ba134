"""Which data sets there are: those that emugraph ships, and the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emugraph.datasets.cache import cards_folder
from emugraph.datasets.card import Card, read_card
from emugraph.errors import InputError, nearest

_SHIPPED = Path(__file__).parent / "cards"


def list_cards() -> list[Card]:
    """All cards that can be used, by name; see :func:`broken_cards` for the others."""
    return [card for card in _read_all() if isinstance(card, Card)]


def broken_cards() -> list[InputError]:
    """What is wrong with the user's own cards, an error for each that cannot be used."""
    return [error for error in _read_all() if isinstance(error, InputError)]


def is_known(name: str) -> bool:
    """Whether a data set has this name, in upper or lower case."""
    return name.casefold() in _files()


def find_card(name: str) -> Card:
    """The card of a data set.

    Args:
        name: its name, in upper or lower case.

    Raises:
        InputError: no data set has this name (the nearest are given), or its card cannot be used.
    """
    files = _files()
    path = files.get(name.casefold())
    if path is None:
        raise InputError(f"unknown data set {name!r}.{nearest(name, files)} See `emugraph datasets list`")
    return _read(path)


def _files() -> dict[str, list[Path]]:
    """The cards that lay claim to each name: more than one only if a user's card repeats a name."""
    files: dict[str, list[Path]] = {}
    for folder in (_SHIPPED, cards_folder()):
        for file in sorted(folder.glob("*.toml")):
            files.setdefault(file.stem.casefold(), []).append(file)
    return dict(sorted(files.items()))


def _read(files: list[Path]) -> Card:
    if len(files) > 1:
        raise InputError(
            f"{files[1]} has the name of a data set that is there already ({files[0].name}); rename it, and the name "
            "in it"
        )
    (file,) = files
    return read_card(file, shipped=file.parent == _SHIPPED)


def _read_all() -> Iterator[Card | InputError]:
    for files in _files().values():
        try:
            yield _read(files)
        except InputError as error:
            yield error
