"""Finding a text's places among many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emugraph.labels import BLOCK, Labels

_hash: Callable[[bytes], int] = hash
"""Of bytes: Python keys it anew in each process, so that nobody can choose labels that it has in common."""


class Lookup:
    """The places of texts, in 4.25 to 4.5 bytes a text besides the texts themselves.

    Places are ordered by buckets, 8 to 16 texts each by their hash; a bucket is searched one by one.

    Args:
        labels: below 2**31 texts.
    """

    def __init__(self, labels: Labels[Any]) -> None:
        count = len(labels)
        buckets = 1 << max(0, (count // 8).bit_length() - 1)
        self._labels, self._mask = labels, buckets - 1
        self._places = np.empty(count, np.int32)
        # Where each bucket's places begin; one entry ahead of itself until they are filled in, which moves it on.
        self._bounds = np.zeros(buckets + 2, np.int32)
        for found in self._blocks():
            bucket, size = np.unique(found, return_counts=True)
            self._bounds[bucket + 2] += size.astype(np.int32)
        np.cumsum(self._bounds, out=self._bounds)
        first = 0
        for found in self._blocks():
            order = np.argsort(found, kind="stable")
            bucket, start, size = np.unique(found[order], return_index=True, return_counts=True)
            place = np.repeat(self._bounds[bucket + 1] - start, size) + np.arange(len(found))
            self._places[place] = first + order
            self._bounds[bucket + 1] += size.astype(np.int32)
            first += len(found)

    def _blocks(self) -> Iterator[NDArray[np.int64]]:
        """The buckets of the texts, in order, a block at a time."""
        for first in range(0, len(self._labels), BLOCK):
            pieces = self._labels.pieces(np.arange(first, min(first + BLOCK, len(self._labels))))
            yield np.fromiter(map(_hash, pieces), np.int64, len(pieces)) & self._mask

    def all(self, label: str) -> list[int]:
        """The places of a text, from the first to the last."""
        piece = label.encode("utf-8", "surrogatepass")
        bucket = _hash(piece) & self._mask
        return self._labels.equal(self._places[self._bounds[bucket] : self._bounds[bucket + 1]].tolist(), piece)

    def get(self, label: str) -> int | None:
        """The first place of a text, or None."""
        return next(iter(self.all(label)), None)

    def repeated(self) -> int | None:
        """The first place whose text stands at a later place too, or None."""
        repeated, first = [], 0
        while first < len(self._places):
            # Whole buckets: the next block begins where one does.
            wanted = np.int32(min(first + BLOCK, len(self._places)))  # of the bounds' type, so that they are not copied
            last = int(self._bounds[np.searchsorted(self._bounds, wanted)])
            places = self._places[first:last]
            pieces = self._labels.pieces(places)
            if len(set(pieces)) < len(pieces):
                seen: dict[bytes, int] = {}
                repeated += [
                    seen[piece]
                    for place, piece in zip(places.tolist(), pieces, strict=True)
                    if seen.setdefault(piece, place) != place
                ]
            first = last
        return min(repeated, default=None)
