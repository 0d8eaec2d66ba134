"""Many texts in little memory, and to and from JSON files without an object for each at one time."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from emugraph.errors import InputError

BLOCK = 1 << 12
"""How many texts are handled at one time."""

_LARGEST_NARROW = (1 << 32) - 1
_MISSING = b"\xff"  # no byte of UTF-8
_BYTES = 1 << 16


Label = TypeVar("Label", bound="str | None", covariant=True)


class Labels(Sequence[Label]):
    """Texts in the order given, read-only; None where one is missing.

    They take their bytes as UTF-8 and 4 bytes each (8 where all together have 4 GiB or more). A text is made when it is
    asked for.

    Args:
        labels: any strings, the empty one included, or None.
        kind: what they are, for messages.

    Raises:
        InputError: one is no text (a lone surrogate).
    """

    def __init__(self, labels: Iterable[Label], kind: str = "label") -> None:
        blob = BytesIO()
        self._offsets = array("I", [0])
        rest = iter(labels)
        while block := list(islice(rest, BLOCK)):
            try:
                pieces = [_MISSING if label is None else label.encode() for label in block]
            except UnicodeEncodeError as error:
                raise InputError(
                    f"the {kind} {error.object!r} holds half a character, which no file can; remove it"
                ) from error
            blob.write(b"".join(pieces))
            ends = self._offsets[-1] + np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
            if self._offsets.typecode == "I" and ends[-1] > _LARGEST_NARROW:
                self._offsets = array("Q", self._offsets)
            self._offsets.frombytes(ends.astype(self._offsets.typecode).tobytes())
        self._blob = blob.getvalue()  # without a copy

    @property
    def nbytes(self) -> int:
        """Bytes that the texts take as UTF-8."""
        return len(self._blob)

    @property
    def has_missing(self) -> bool:
        """Whether any is None."""
        return _MISSING in self._blob

    def equal(self, indices: list[int], piece: bytes) -> list[int]:
        """Those of some places, from 0, at which the text with this UTF-8 stands."""
        offsets, blob, size = self._offsets, self._blob, len(piece)
        return [i for i in indices if offsets[i + 1] - offsets[i] == size and blob.startswith(piece, offsets[i])]

    def pieces(self, indices: NDArray[np.integer]) -> list[bytes]:
        """The UTF-8 of the texts at places from 0, (n,); of one that is missing, a byte that no text has."""
        offsets, blob = np.frombuffer(self._offsets, self._offsets.typecode), self._blob
        starts, ends = offsets[indices].tolist(), offsets[indices + 1].tolist()
        return [blob[start:end] for start, end in zip(starts, ends, strict=True)]

    def containing(self, part: str, limit: int) -> list[Label]:
        """The first ``limit`` texts that contain a part that is not empty, upper and lower case of ASCII alike."""
        wanted, offsets = part.encode("utf-8", "surrogatepass").lower(), self._offsets
        found: list[Label] = []
        for first in range(0, len(self), BLOCK):
            last = min(first + BLOCK, len(self))
            base, text = offsets[first], self._blob[offsets[first] : offsets[last]].lower()
            place = text.find(wanted)
            while place >= 0 and len(found) < limit:
                index = bisect_right(offsets, base + place, first, last) - 1
                end = offsets[index + 1] - base
                within = place + len(wanted) <= end
                if within:
                    found.append(self[index])
                place = text.find(wanted, end if within else place + 1)
        return found

    @overload
    def __getitem__(self, index: int) -> Label: ...

    @overload
    def __getitem__(self, index: slice) -> list[Label]: ...

    def __getitem__(self, index: int | slice) -> Label | list[Label]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        try:
            place = range(len(self._offsets) - 1)[index]
        except IndexError as error:
            raise IndexError(f"there is no {index} among {len(self)} labels") from error
        return _text(self._blob[self._offsets[place] : self._offsets[place + 1]])

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[Label]:
        text = _text if self.has_missing else bytes.decode
        for first in range(0, len(self), BLOCK):
            yield from map(text, self.pieces(np.arange(first, min(first + BLOCK, len(self)))))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._offsets == other._offsets and self._blob == other._blob
        if isinstance(other, list | tuple):
            return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Labels({len(self)} of {self.nbytes} bytes)"


def _text(piece: bytes) -> Any:
    return None if piece == _MISSING else piece.decode()


def write_labels(path: Path, labels: Sequence[str | None]) -> None:
    """Write a JSON list with an item a line.

    For a path of :func:`emugraph.files.replacing`: by itself it leaves half a file where it is interrupted.
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
