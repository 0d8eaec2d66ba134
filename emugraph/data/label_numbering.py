"""Numbers for texts in the order in which they first appear, many texts at one time."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
_Words = NDArray[np.uint64]

_WORD = 8
_LONG = 128
"""Bytes of UTF-8 up to which a text is hashed and compared word by word, together with others."""

_FREE = -1
_TAG = np.uint64((1 << 31) - 1)
_NUMBER = (1 << 32) - 1


class LabelNumbering:
    """The number of each text; a new text gets the next one.

    Texts that have one are found by NumPy alone, in a hash table with open addressing: an object is made of a text when
    it is new. The hash is keyed anew each time, so that nobody can choose texts that it has in common.
    """

    def __init__(self) -> None:
        self._blob = bytearray(_WORD)  # the texts, and a word that none reaches
        self._starts = array("q", [0])
        self._hashes = array("Q")
        self._table = np.full(1 << 10, _FREE)  # a number, and above it 31 bits of the hash
        self._keys = [np.uint64(secrets.randbits(64) | 1) for _ in range(_LONG // _WORD + 2)]

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[str]:
        """The texts by their numbers."""
        for start, end in zip(self._starts, self._starts[1:], strict=False):
            yield self._blob[start:end].decode()

    def of_labels(self, labels: Iterable[str]) -> Numbers:
        """The numbers of some texts, (n,)."""
        pieces = [label.encode() for label in labels]
        ends = np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)))
        return self.of(b"".join(pieces), np.concatenate([[0], ends[:-1]])[: len(ends)], ends)

    def of(self, text: bytes, starts: Numbers, ends: Numbers) -> Numbers:
        """The numbers of texts that stand within one, (n,).

        Args:
            text: UTF-8.
            starts: where each begins, (n,).
            ends: the byte after each, (n,).
        """
        padded, sizes = text + bytes(_WORD), ends - starts
        hashes = self._hash(padded, starts, sizes)
        numbers = self._find(padded, starts, sizes, hashes)
        fresh = np.flatnonzero(numbers == _FREE)
        if len(fresh):
            first: dict[bytes, int] = {}
            spans = zip(starts[fresh].tolist(), ends[fresh].tolist(), strict=True)
            known = len(self)
            new_numbers = [first.setdefault(text[start:end], known + len(first)) for start, end in spans]
            numbers[fresh] = new_numbers
            places = fresh[np.unique(new_numbers, return_index=True)[1]]
            self._add(list(first), hashes[places])
        return numbers

    def _hash(self, text: bytes, starts: Numbers, sizes: Numbers) -> _Words:
        hashes = sizes.astype(np.uint64) * self._keys[0]
        short = np.where(sizes > _LONG, 0, sizes)
        for begin in range(0, int(short.max(initial=0)), _WORD):
            rows = np.flatnonzero(short > begin)
            mixed = hashes[rows] ^ _words(text, starts[rows] + begin, sizes[rows] - begin)
            mixed *= self._keys[begin // _WORD + 1]
            hashes[rows] = mixed ^ mixed >> np.uint64(32)
        long = np.flatnonzero(sizes > _LONG)
        spans = zip(starts[long].tolist(), sizes[long].tolist(), strict=True)
        hashes[long] = np.array([hash(text[start : start + size]) for start, size in spans], np.int64).view(np.uint64)
        return hashes * self._keys[-1]

    def _slots(self, hashes: _Words) -> Numbers:
        return (hashes >> np.uint64(65 - len(self._table).bit_length())).astype(np.int64)

    def _find(self, text: bytes, starts: Numbers, sizes: Numbers, hashes: _Words) -> Numbers:
        """The numbers of texts, -1 for those that have none."""
        numbers = np.full(len(starts), _FREE)
        rows, slots, tags = np.arange(len(starts)), self._slots(hashes), (hashes & _TAG).astype(np.int64)
        while len(rows):
            entries = self._table[slots]
            alike = np.flatnonzero(entries >> 32 == tags[rows])
            candidates = entries[alike] & _NUMBER
            same = self._same(text, starts[rows[alike]], sizes[rows[alike]], candidates)
            numbers[rows[alike[same]]] = candidates[same]
            open_ = entries != _FREE
            open_[alike[same]] = False
            rows, slots = rows[open_], slots[open_] + 1 & len(self._table) - 1
        return numbers

    def _same(self, text: bytes, starts: Numbers, sizes: Numbers, numbers: Numbers) -> NDArray[np.bool_]:
        """Whether texts are those that have some numbers."""
        bounds = np.frombuffer(self._starts, np.int64)
        begins = bounds[numbers]
        same = bounds[numbers + 1] - begins == sizes
        short = np.where(sizes > _LONG, 0, sizes)
        for begin in range(0, int(short.max(initial=0)), _WORD):
            rows = np.flatnonzero(same & (short > begin))
            left = sizes[rows] - begin
            same[rows] = _words(text, starts[rows] + begin, left) == _words(self._blob, begins[rows] + begin, left)
        long = np.flatnonzero(same & (sizes > _LONG))
        spans = zip(starts[long].tolist(), begins[long].tolist(), sizes[long].tolist(), strict=True)
        same[long] = [text[at : at + size] == self._blob[label_at : label_at + size] for at, label_at, size in spans]
        return same

    def _add(self, texts: list[bytes], hashes: _Words) -> None:
        """Give distinct new texts the next numbers."""
        known = len(self)
        self._blob[-_WORD:] = b"".join(texts) + bytes(_WORD)
        self._starts.frombytes((self._starts[-1] + np.cumsum([len(text) for text in texts])).tobytes())
        self._hashes.frombytes(hashes.tobytes())
        if 2 * len(self) > len(self._table):
            self._table = np.full(1 << (3 * len(self)).bit_length(), _FREE)
            known, hashes = 0, np.frombuffer(self._hashes, np.uint64)
        entries = (hashes & _TAG).astype(np.int64) << 32 | np.arange(known, len(self))
        slots = self._slots(hashes)
        while len(entries):
            free = self._table[slots] == _FREE
            self._table[slots[free]] = entries[free]  # one of those that want the same
            left = self._table[slots] != entries
            entries, slots = entries[left], slots[left] + 1 & len(self._table) - 1


def _words(text: bytes | bytearray, starts: Numbers, left: Numbers) -> _Words:
    """The eight bytes from each start on, those after the first ``left`` ones as zeros."""
    every = np.ndarray(len(text) - _WORD + 1, "V8", text, strides=(1,))
    cut = (_WORD - np.minimum(left, _WORD)).astype(np.uint64) << np.uint64(3)
    words = every[starts].view("<u8")
    return words << cut >> cut
