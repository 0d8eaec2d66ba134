"""Many texts in little memory, and to and from JSON files without an object for each at one time."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np

from emugraph.errors import InputError

BLOCK = 1 << 12
"""How many texts are handled at one time."""

_LARGEST_NARROW = (1 << 32) - 1
_MISSING, _END = b"\xff", b"\xfe"  # no bytes of UTF-8
_GROUP = 4
_BYTES = 1 << 16


Label = TypeVar("Label", bound="str | None", covariant=True)


class Labels(Sequence[Label]):
    """Texts in the order given, read-only; None where one is missing.

    They take their bytes as UTF-8 and 2 bytes each (3 where all together have 4 GiB or more): a byte after each, and
    where every fourth begins. A text is made when it is read.

    Args:
        labels: any strings, the empty one included, or None.
        kind: what they are, for messages.

    Raises:
        InputError: one is no text (a lone surrogate).
    """

    def __init__(self, labels: Iterable[Label], kind: str = "label") -> None:
        blob, rest, count = BytesIO(), iter(labels), 0
        self._starts = array("I")  # of every fourth text, and where all end
        while block := list(islice(rest, BLOCK)):
            try:
                pieces = [_MISSING if label is None else label.encode() for label in block]
            except UnicodeEncodeError as error:
                raise InputError(
                    f"the {kind} {error.object!r} holds half a character, which no file can; remove it"
                ) from error
            sizes = np.fromiter(map(len, pieces), np.int64, len(pieces)) + 1
            starts = blob.tell() + np.cumsum(sizes) - sizes
            blob.write(_END.join([*pieces, b""]))
            if self._starts.typecode == "I" and blob.tell() > _LARGEST_NARROW:
                self._starts = array("Q", self._starts)
            self._starts.frombytes(starts[-count % _GROUP :: _GROUP].astype(self._starts.typecode).tobytes())
            count += len(pieces)
        self._starts.append(blob.tell())
        self._blob = blob.getvalue()  # without a copy
        self._places = range(count)

    @property
    def nbytes(self) -> int:
        """Bytes that the texts take as UTF-8."""
        return len(self._blob) - len(self)

    @property
    def has_missing(self) -> bool:
        """Whether any is None."""
        return _MISSING in self._blob

    def piece(self, place: int) -> bytes:
        """The UTF-8 of the text at a place from 0; of one that is missing, a byte that no text has."""
        starts, group = self._starts, place // _GROUP
        return self._blob[starts[group] : starts[group + 1]].split(_END)[place % _GROUP]

    def pieces(self, first: int, last: int) -> list[bytes]:
        """:meth:`piece` of the texts from a place up to and without another one."""
        start, stop = first // _GROUP, -(-last // _GROUP)
        pieces = self._blob[self._starts[start] : self._starts[stop]].split(_END)
        return pieces[first - start * _GROUP : last - start * _GROUP]

    def containing(self, part: str, limit: int) -> list[Label]:
        """The first ``limit`` texts that contain a part that is not empty, upper and lower case of ASCII alike."""
        wanted, groups = part.encode("utf-8", "surrogatepass").lower(), len(self._starts) - 1
        step = max(1, BLOCK // _GROUP)
        matches: list[Label] = []
        for group in range(0, groups, step):
            text = self._blob[self._starts[group] : self._starts[min(group + step, groups)]].lower()
            index, end, place = group * _GROUP, 0, text.find(wanted)
            while place >= 0 and len(matches) < limit:
                index += text.count(_END, end, place)
                matches.append(self[index])
                end = text.index(_END, place)
                place = text.find(wanted, end)
        return matches

    @overload
    def __getitem__(self, index: int) -> Label: ...

    @overload
    def __getitem__(self, index: slice) -> list[Label]: ...

    def __getitem__(self, index: int | slice) -> Label | list[Label]:
        if isinstance(index, slice):
            return [self[i] for i in self._places[index]]
        try:
            place = self._places[index]
        except IndexError as error:
            raise IndexError(f"there is no {index} among {len(self)} labels") from error
        starts, group = self._starts, place // _GROUP  # as piece and _text, without the calls
        piece: Any = self._blob[starts[group] : starts[group + 1]].split(_END)[place % _GROUP]
        return None if piece == _MISSING else piece.decode()  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Label]:
        text = _text if self.has_missing else bytes.decode
        for first in range(0, len(self), BLOCK):
            yield from map(text, self.pieces(first, min(first + BLOCK, len(self))))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._blob == other._blob
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(left == right for left, right in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Labels({len(self)} of {self.nbytes} bytes)"


def _text(piece: bytes) -> Any:
    return None if piece == _MISSING else piece.decode()


def write_labels(path: Path, labels: Sequence[str | None]) -> None:
    """Write a JSON list with an item a line.

    For a path of :func:`emugraph.io.atomic.replacing`: by itself it leaves half a file where it is interrupted.
    """
    before = "[\n"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for item in map(json.JSONEncoder(ensure_ascii=False).encode, labels):
            file.write(before + item)
            before = ",\n"
        file.write("\n]\n" if len(labels) else "[]\n")


def read_labels(file: BinaryIO, *, optional: bool = False) -> Labels[Any]:
    """Read a JSON list of strings, block by block where an item stands on each line.

    Args:
        file: opened for reading bytes.
        optional: whether ``null`` may stand among them.

    Raises:
        InputError: it is no such list, or a string is no text.
    """
    kinds: set[type] = {str, type(None)} if optional else {str}
    try:
        return Labels(_items(file, kinds))
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not a list of labels: {error}") from error


def _items(file: BinaryIO, kinds: set[type]) -> Iterator[Any]:
    rest = file.read(1)
    if rest != b"[":
        raise ValueError("no [ at its beginning")
    while chunk := file.read(_BYTES):
        # JSON has no line end within a string: this is one between two items.
        items, comma, rest = (rest + chunk).rpartition(b",\n")
        if not comma:
            break
        yield from _parsed(items + b"]", kinds)
        rest = b"[" + rest
    yield from _parsed(rest + file.read(), kinds)


def _parsed(text: bytes, kinds: set[type]) -> list[Any]:
    items: list[Any] = json.loads(text.decode())
    if not kinds.issuperset(map(type, items)):
        raise ValueError("an item is no string")
    return items
