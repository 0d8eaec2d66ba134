"""A data set by its name, as ids and labels."""

from __future__ import annotations

from dataclasses import dataclass

from emugraph.datasets.card import SPLITS, Card
from emugraph.datasets.locate import checked_files
from emugraph.datasets.names import readable_names
from emugraph.datasets.registry import find_card
from emugraph.errors import InputError
from emugraph.labels import Labels
from emugraph.reading import LabelledSplits, read_files


@dataclass(frozen=True, eq=False)
class LoadedData(LabelledSplits):
    """A data set that was read.

    Args:
        name: what it is called.
        card: where it comes from.
        entity_names: a readable name for each entity in the order of their ids, None where one has none; or None.
    """

    name: str
    card: Card
    entity_names: Labels[str | None] | None


def load(name: str, *, progress: bool | None = None) -> LoadedData:
    """Read a data set, from this machine or else from where it is published.

    Args:
        name: its name, in upper or lower case.
        progress: show a bar on standard error while downloading; None: if that is a terminal.

    Raises:
        InputError: no data set has this name, or its card is wrong.
        EmugraphError: it cannot be downloaded, or a file has a wrong sum.
    """
    card = find_card(name)
    with checked_files(card, progress=progress) as folder:
        read = read_files({split: folder / file.name for split, file in card.files.by_split().items()}, card.format)
    _check_counts(card, read)
    names = readable_names(card, progress=progress)
    entity_names = Labels(map(names.get, read.entities), "name") if names else None
    return LoadedData(read.entities, read.relations, read.splits, card.name, card, entity_names)


def _check_counts(card: Card, read: LabelledSplits) -> None:
    for what, found in read.counts.items():
        expected = getattr(card.counts, what)
        if expected is not None and expected != found:
            raise InputError(
                f"{card.source}: counts.{what} = {expected}, but the data set has {found}; correct the card"
            )
        if what in SPLITS and not found:
            raise InputError(f"empty split: {card.files.by_split()[what].name} of {card.name} holds no triple")
