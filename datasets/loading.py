"""A data set by its name, or a folder or file of one's own: as ids and labels, or as a graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emugraph.data.graph import KnowledgeGraph
from emugraph.data.label_store import Labels
from emugraph.data.random_split import parse_fractions
from emugraph.data.triple_files import LabelledSplits, read_files
from emugraph.datasets.card import Card
from emugraph.datasets.locate import checked_files
from emugraph.datasets.names import readable_names
from emugraph.datasets.registry import find_card, is_known
from emugraph.errors import InputError
from emugraph.types import SPLITS


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
    for what, count in read.counts.items():
        expected = getattr(card.counts, what)
        if expected is not None and expected != count:
            raise InputError(
                f"{card.source}: counts.{what} = {expected}, but the data set has {count}; correct the card"
            )
        if what in SPLITS and not count:
            raise InputError(f"empty split: {card.files.by_split()[what].name} of {card.name} holds no triple")


def load_dataset(
    name_or_path: str | Path, *, split: tuple[float, float, float] | str | None = None, seed: int = 0
) -> KnowledgeGraph:
    """A knowledge graph by the name of a data set, or from a folder or file of your own.

    Args:
        name_or_path: a name that ``emugraph datasets list`` shows, a folder with train, valid and test files, or one
            file together with ``split``. A path that exists wins over a name only if it holds a separator or no data
            set has that name.
        split: the shares of train, valid and test of one file, as numbers or as "0.8,0.1,0.1".
        seed: the seed of that split.

    Raises:
        InputError: no such data set or path, or files that cannot be read.
    """
    if not str(name_or_path):
        raise InputError("the data set's name is empty; give a name from 'emugraph datasets list', or a path")
    if isinstance(split, str):
        split = parse_fractions(split)
    path = Path(name_or_path)
    named = not isinstance(name_or_path, Path) and path.name == name_or_path and is_known(name_or_path)
    if path.exists() and not named:
        return KnowledgeGraph.from_files(path, split=split, seed=seed)
    if not named and (path.name != str(name_or_path) or path.suffix or split is not None):
        raise InputError(
            f"{name_or_path} does not exist; give a folder, a file, or a name from 'emugraph datasets list'"
        )
    if split is not None:
        raise InputError(f"{name_or_path} is a data set with splits of its own; leave out the split")
    data = load(str(name_or_path))
    return KnowledgeGraph(data.entities, data.relations, **data.splits, name=data.name, entity_names=data.entity_names)
