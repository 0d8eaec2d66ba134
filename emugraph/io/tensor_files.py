"""Tensors in safetensors files, with plain values beside them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from emugraph.errors import EmugraphError

_VALUES = "values"
_BLOCK = 1 << 20  # numbers
_LARGEST_HEADER = 100_000_000  # of the format


def write_tensors(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any] | None = None) -> None:
    """Write tensors, and values that JSON can hold in the file's header.

    For a path of :func:`emugraph.io.atomic.replacing`: by itself it leaves half a file where it is interrupted.

    Raises:
        OSError: the path cannot be written, or the disk is full.
    """
    metadata = None if values is None else {_VALUES: json.dumps(values, allow_nan=False)}
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def tensors_of(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors in a file's content. Raises EmugraphError, naming the path, if it is damaged."""
    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error
    return tensors


def map_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, mapped into memory: a page is read when it is looked at. What is written to them stays
    in memory, and the file as it was. Raises EmugraphError, naming the path, if it is damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError, OSError) as error:
        raise EmugraphError(f"{path} is damaged: {error}") from error
    return tensors


def map_values(path: Path) -> dict[str, Any]:
    """The plain values of a file, as :func:`values_of`; its tensors are not read."""
    with path.open("rb") as file:
        size = file.read(8)
        return values_of(size + file.read(min(int.from_bytes(size, "little"), _LARGEST_HEADER)), path)


def values_of(content: bytes, path: Path) -> dict[str, Any]:
    """The plain values in a file's content. Raises EmugraphError, naming the path, if there are none."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        values = json.loads(header["__metadata__"][_VALUES])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EmugraphError(f"{path} is damaged: it has no values beside its tensors ({error})") from error
    if not isinstance(values, dict):
        raise EmugraphError(f"{path} is damaged: what is beside its tensors is {values!r:.50}")
    return values


def all_finite(tensor: Tensor) -> bool:
    """Whether all numbers of a tensor are finite, without an array of its size."""
    return all(bool(part.isfinite().all()) for part in tensor.split(max(1, _BLOCK // max(1, tensor[:1].numel()))))


def nbytes(tensors: Mapping[str, Tensor]) -> int:
    """Bytes that the numbers of some tensors take."""
    return sum(tensor.nbytes for tensor in tensors.values())
