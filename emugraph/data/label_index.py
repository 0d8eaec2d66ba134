"""Finding a text's places among many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emugraph.data.label_store import BLOCK, Labels

Hash = TypeVar("Hash", int, NDArray[np.int64])

_hash: Callable[[bytes], int] = hash
"""Of bytes: Python keys it anew in each process, so that nobody can choose labels that it has in common."""


class LabelIndex:
    """The places of texts, in 4.25 to 4.5 bytes a text besides the texts themselves.

    Places are ordered by buckets, 8 to 16 texts each by their hash. What a place leaves of 32 bits holds more of the
    hash: texts are compared where that is the same.

    Args:
        labels: below 2**31 texts.
    """

    def __init__(self, labels: Labels[Any]) -> None:
        count = len(labels)
        buckets = 1 << max(0, (count // 8).bit_length() - 1)
        self._labels, self._mask = labels, buckets - 1
        self._bits = count.bit_length()  # of a place
        self._entries = np.empty(count, np.uint32)
        # Where each bucket's entries begin; one ahead of itself until they are filled in, which moves it on.
        self._bounds = np.zeros(buckets + 2, np.int32)
        for hashes in self._blocks():
            bucket, size = np.unique(hashes & self._mask, return_counts=True)
            self._bounds[bucket + 2] += size.astype(np.int32)
        np.cumsum(self._bounds, out=self._bounds)
        first = 0
        for hashes in self._blocks():
            order = np.argsort(hashes & self._mask, kind="stable")
            hashes = hashes[order]
            bucket, start, size = np.unique(hashes & self._mask, return_index=True, return_counts=True)
            place = np.repeat(self._bounds[bucket + 1] - start, size) + np.arange(len(hashes))
            self._entries[place] = self._more(hashes) << self._bits | (first + order)
            self._bounds[bucket + 1] += size.astype(np.int32)
            first += len(hashes)

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        """The hashes of the texts, in order, a block at a time."""
        for first in range(0, len(self._labels), BLOCK):
            pieces = self._labels.pieces(first, min(first + BLOCK, len(self._labels)))
            yield np.fromiter(map(_hash, pieces), np.int64, len(pieces))

    def _more(self, hashed: Hash) -> Hash:
        """What stands of a hash above a place."""
        return hashed >> 32 & (1 << 32 - self._bits) - 1

    def all(self, label: str) -> list[int]:
        """The places of a text, from the first to the last."""
        piece, bits = label.encode("utf-8", "surrogatepass"), self._bits
        hashed = _hash(piece)
        bucket, more, below = hashed & self._mask, self._more(hashed), (1 << bits) - 1
        entries = self._entries[self._bounds[bucket] : self._bounds[bucket + 1]].tolist()
        places = [entry & below for entry in entries if entry >> bits == more]
        return [place for place in places if self._labels.piece(place) == piece]

    def get(self, label: str) -> int | None:
        """The first place of a text, or None."""
        return next(iter(self.all(label)), None)

    def repeated(self) -> int | None:
        """The first place whose text stands at a later place too, or None."""
        repeated, first = [], 0
        while first < len(self._entries):
            # Whole buckets: the next block begins where one does.
            wanted = np.int32(min(first + BLOCK, len(self._entries)))  # as the bounds, so that they are not copied
            last = int(self._bounds[np.searchsorted(self._bounds, wanted)])
            buckets = np.searchsorted(self._bounds, np.arange(first, last, dtype=np.int32), side="right")
            entries = self._entries[first:last].astype(np.int64)
            keys = buckets << 32 | entries >> self._bits
            order = np.argsort(keys, kind="stable")
            alike = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
            seen: dict[bytes, int] = {}
            for entry in entries[order[np.union1d(alike, alike + 1)]].tolist():
                place = entry & (1 << self._bits) - 1
                if seen.setdefault(piece := self._labels.piece(place), place) != place:
                    repeated.append(seen[piece])
            first = last
        return min(repeated, default=None)
