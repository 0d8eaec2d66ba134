"""Matrices of whole numbers that stay in their file."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from emugraph.data.answer_index import PIECE
from emugraph.errors import EmugraphError

_WHOLE: dict[str, np.dtype[Any]] = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8")}


class StoredRows:
    """The rows of a matrix in an open file, read on demand, as int64. They are not mapped into memory: a
    pass over all of them holds one piece at a time. The file may be deleted meanwhile.

    Args:
        path: for messages.
        handle: the open file, which is kept open by a handle of its own.
        start: where in the file the rows begin.
        shape: rows and columns.
        dtype: the numbers in the file.
    """

    def __init__(self, path: Path, handle: int, start: int, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._path, self._start, self._dtype = path, start, dtype
        self._handle = os.dup(handle)
        weakref.finalize(self, os.close, self._handle)

    def __len__(self) -> int:
        return self.shape[0]

    def pieces(self) -> Iterator[Tensor]:
        """All rows in order, as int64 tensors (at most PIECE, columns); one, at least.

        Raises:
            EmugraphError: the file cannot be read any more, or is shorter than it was.
        """
        for first in range(0, max(1, len(self)), PIECE):
            yield self._read(first, min(first + PIECE, len(self)))

    def whole(self) -> Tensor:
        """All rows, int64 (rows, columns). Raises EmugraphError as :meth:`pieces`."""
        every = torch.empty(self.shape, dtype=torch.int64, device="cpu")
        for rows, piece in zip(every.split(PIECE), self.pieces(), strict=True):
            rows.copy_(piece)
        return every

    def _read(self, first: int, last: int) -> Tensor:
        width = self.shape[1] * self._dtype.itemsize
        try:
            content = os.pread(self._handle, (last - first) * width, self._start + first * width)
            rows = np.frombuffer(content, self._dtype).reshape(last - first, self.shape[1])
        except (OSError, ValueError) as error:
            raise EmugraphError(f"cannot read {self._path}: {error}") from error
        return torch.from_numpy(rows.astype(np.int64))


def stored_rows(path: Path) -> dict[str, StoredRows]:
    """The matrices of a safetensors file, whose numbers are not read yet.

    Raises:
        EmugraphError: the file is damaged, or holds something else than matrices of whole numbers.
    """
    try:
        with path.open("rb") as file:
            with safe_open(path, "numpy"):
                pass  # the header fits the file
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
            return {
                name: _rows(path, file.fileno(), 8 + size, name, entry)
                for name, entry in header.items()
                if name != "__metadata__"
            }
    except (SafetensorError, OSError, ValueError) as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error


def _rows(path: Path, handle: int, start: int, name: str, entry: dict[str, Any]) -> StoredRows:
    shape, dtype = tuple(entry["shape"]), _WHOLE.get(entry["dtype"])
    if dtype is None or len(shape) != 2:
        raise ValueError(f"{name} is {entry['dtype']} {shape}, no matrix of whole numbers")
    return StoredRows(path, handle, start + entry["data_offsets"][0], shape, dtype)
