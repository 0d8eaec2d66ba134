"""Data sets by name: where they are published, fetching and checking them, reading them.

>>> from emugraph import datasets
>>> [card.name for card in datasets.list_cards()][:3]
['codex-l', 'codex-m', 'codex-s']
>>> datasets.load("wn18rr").counts["entities"]
40943
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emugraph.datasets import locate, names
from emugraph.datasets.cache import cache_folder, cards_folder, own_folder
from emugraph.datasets.card import Card
from emugraph.datasets.registry import broken_cards, find_card, is_known, list_cards

if TYPE_CHECKING:
    from emugraph.datasets.loading import LoadedData, load

__all__ = [
    "Card",
    "LoadedData",
    "broken_cards",
    "download",
    "find_card",
    "folders",
    "is_known",
    "list_cards",
    "load",
    "where",
]


def where(name: str) -> Path | None:
    """The folder or archive where a data set lies on this machine, unchecked; None if it must be downloaded.

    Raises:
        InputError: no data set has this name, or its card cannot be used.
    """
    return locate.find(find_card(name))


def download(name: str, *, progress: bool | None = None) -> Path:
    """Make sure that a data set, with its readable names, lies on this machine; everything is checked.

    Args:
        name: its name, in upper or lower case.
        progress: show a bar on standard error; None: if that is a terminal.

    Returns:
        The folder or archive where it lies.

    Raises:
        InputError: no data set has this name, or its card cannot be used.
        EmugraphError: it cannot be downloaded, a file has a wrong sum, or the cache cannot be written to.
    """
    card = find_card(name)
    place = locate.obtain(card, progress=progress)
    names.readable_names(card, progress=progress)
    return place


def folders() -> dict[str, Path]:
    """The folders in use: of the user's own data sets (if $EMUGRAPH_DATASETS is set), own cards, and the cache."""
    own = own_folder()
    return {**({"datasets": own} if own else {}), "cards": cards_folder(), "cache": cache_folder()}


def __getattr__(name: str) -> Any:
    # Reading needs torch, which a list of names does not.
    if name in ("LoadedData", "load"):
        from emugraph.datasets import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
