"""How the library's functions are called."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from emugraph.kernels.build import library


def available() -> bool:
    """Whether the library could be compiled (now, if need be) and loaded."""
    return library().handle is not None


def call(name: str, *arguments: Tensor | int | None) -> None:
    """Call a function of the library, with PyTorch's number of threads as its last argument.

    Raises:
        IndexError: an index lies outside the table.
        MemoryError: the function could not get its working memory.
    """
    words = (a.data_ptr() if isinstance(a, Tensor) else a or 0 for a in (*arguments, torch.get_num_threads()))
    outcome = getattr(library().handle, name)(*map(ctypes.c_int64, words))
    if outcome == 2:
        raise IndexError("an index lies outside the table")
    if outcome:
        raise MemoryError(f"{name} could not get its working memory")
