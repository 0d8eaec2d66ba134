"""A card: what a data set is, where it is published, and how to know that a file is the right one.

A card is a TOML file called NAME.toml. Unknown keys and wrong types are refused, so is a download without a sum or
not over https. All files are checked against their sums before they are read.

::

    name = "toy"                    # lower case; as the file is called
    title = "Toy"
    description = "What it is about."
    licence = "CC BY 4.0"
    citation = "Who to cite."
    homepage = "https://example.org/toy"
    format = "tsv"                  # or "csv"; left out, the files' names decide

    [archive]                       # left out where each file has urls of its own
    name = "toy.tar.gz"             # .tar.gz, .tgz, .tar.xz or .zip
    urls = ["https://example.org/toy.tar.gz"]   # tried in this order
    sha256 = "..."                  # or md5, or git_blob; all that are given must match
    size = 12345                    # bytes, if known: a download stops there

    [files.train]                   # likewise valid and test
    name = "train.txt"
    sha256 = "..."

    [counts]                        # any of entities, relations, train, valid, test; checked after reading
    entities = 14

    [names]                         # readable names of the entities, if there are any
    format = "tsv"                  # label TAB name; or "wikidata"
    name = "names.tsv"
    urls = ["https://example.org/names.tsv"]
    sha256 = "..."

A user's own card may say ``path = "..."`` instead, a folder or an archive on this machine, relative to the card; sums
are then optional, and so is everything but the name.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from emugraph.datasets.fetch import check_url
from emugraph.errors import InputError, nearest
from emugraph.io import toml
from emugraph.io.checksums import Sums

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".zip")

_Urls = Annotated[tuple[str, ...], Field(strict=False)]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class File(Sums):
    """A file with its sums, and where it is published if it comes alone."""

    name: _FileName
    urls: _Urls = ()


class Files(_Table):
    """The file of each split."""

    train: File = File(name="train.txt")
    valid: File = File(name="valid.txt")
    test: File = File(name="test.txt")

    def by_split(self) -> dict[str, File]:
        """The files by split, in the order in which they are read."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


class Counts(_Table):
    """How many there are of each; None where it is not known."""

    entities: int | None = None
    relations: int | None = None
    train: int | None = None
    valid: int | None = None
    test: int | None = None


class Names(File):
    """A file with readable names of entities.

    ``tsv`` has a line ``label TAB name`` an entity; ``wikidata`` is a JSON object from labels to objects with a
    ``label``.
    """

    format: Literal["tsv", "wikidata"]
    bundled: _FileName | None = None


class Card(_Table):
    """What is known of a data set; see the module's description for the keys."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str = ""
    description: str = ""
    licence: str = ""
    citation: str = ""
    homepage: str = ""
    format: Literal["tsv", "csv"] | None = None
    path: str | None = None
    bundled: _FileName | None = None
    archive: File | None = None
    files: Files = Files()
    counts: Counts = Counts()
    names: Names | None = None

    _source: Path = PrivateAttr(default=Path())

    @property
    def source(self) -> Path:
        """The card's own file."""
        return self._source

    @property
    def local_path(self) -> Path | None:
        """The folder or archive on this machine that a user's card names."""
        return None if self.path is None else self.source.parent / Path(self.path).expanduser()


def read_card(file: Path, *, shipped: bool = False) -> Card:
    """Read and check a card.

    Args:
        file: the card, NAME.toml.
        shipped: whether it comes with emugraph; only then may it name bundled files.

    Raises:
        InputError: the file, and the key at fault.
    """
    values = toml.read(file)
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{file}: {_first_fault(error)}") from error
    card._source = file
    faults = _faults(card, shipped)
    if faults:
        raise InputError(f"{file}: {faults[0]}")
    return card


def _faults(card: Card, shipped: bool) -> list[str]:
    """What types alone do not rule out, one sentence each."""
    faults = []
    files = {f"files.{split}": file for split, file in card.files.by_split().items()}
    parts: dict[str, File] = {**files, **({"archive": card.archive} if card.archive else {})}
    published = [key for key, file in parts.items() if file.urls]
    if card.source.stem != card.name:
        faults.append(f"name = {card.name!r}: the file must be called {card.name}.toml")
    if len({file.name for file in files.values()}) < len(files):
        faults.append("files: two splits have the same name; give each its own file")
    if not shipped and (card.bundled or (card.names and card.names.bundled)):
        faults.append("bundled: only for data sets that come with emugraph; use path or urls")
    if card.path is not None and (published or card.archive):
        faults.append("path: the data set lies on this machine, so it has no archive and no urls; leave them out")
    if card.path is None and published not in (["archive"], list(files)):
        faults.append("urls: give archive.urls, or urls for each of files.train, files.valid, files.test, or path")
    if card.archive and not card.archive.name.endswith(ARCHIVE_SUFFIXES):
        faults.append(f"archive.name = {card.archive.name!r}: must end with {', '.join(ARCHIVE_SUFFIXES)}")
    if card.names and not (card.names.urls or card.names.bundled):
        faults.append("names.urls is missing")
    if card.names:
        parts["names"] = card.names
    for key, file in parts.items():
        if (card.path is None or file.urls) and not file.algorithms:
            faults.append(f"{key} has no checksum; add sha256 (sha256sum {file.name})")
        for url in file.urls:
            try:
                check_url(url)
            except InputError as error:
                faults.append(f"{key}.urls: {error}")
    return faults


def _first_fault(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}.{nearest(str(first['loc'][-1]), _keys_at(first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"{key} is missing"
    return f"{key} = {reprlib.repr(first['input'])}: {first['msg'][:1].lower()}{first['msg'][1:]}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at this place of a card may have."""
    table: type[BaseModel] = Card
    for key in location:
        annotation: Any = table.model_fields[str(key)].annotation
        table = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel))
    return list(table.model_fields)
