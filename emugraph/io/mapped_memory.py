"""Where embedding tables and what an optimizer keeps of them lie: in memory, or in files that are mapped into it."""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from emugraph.io.atomic import explain_write_errors


class Memory:
    """Memory as PyTorch gives it."""

    def empty(self, *shape: int) -> Tensor:
        """A float32 tensor of a shape, with whatever stands in it."""
        return torch.empty(shape, dtype=torch.float32, device="cpu")

    def zeros_like(self, like: Tensor) -> Tensor:
        """Zeros of the shape of a tensor, and on its device, contiguous."""
        return torch.zeros(like.shape, dtype=like.dtype, device=like.device)


class MappedMemory(Memory):
    """Files in place of memory, so that tables may be larger than it: the system keeps in memory what is in use.

    Worth it where a step touches few rows (``optimizer`` lazy-adam, adagrad or row-adagrad). The space is taken when a
    tensor is made, and given back when the last tensor in it is gone, or the process.

    Args:
        folder: where, on a disk of this machine; made if it does not exist.

    Raises:
        EmugraphError: it cannot be written to, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with explain_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def empty(self, *shape: int) -> Tensor:
        return self._mapped(shape, torch.float32)

    def zeros_like(self, like: Tensor) -> Tensor:
        return super().zeros_like(like) if like.device.type != "cpu" else self._mapped(like.shape, like.dtype)

    def _mapped(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        count = math.prod(shape)
        if not count:
            return torch.zeros(shape, dtype=dtype, device="cpu")
        with explain_write_errors(self.folder):
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=".emugraph-")
            try:
                os.posix_fallocate(handle, 0, count * dtype.itemsize)  # zeros; a full disk shows here, not in a step
                return torch.from_file(name, shared=True, size=count, dtype=dtype).view(shape)
            finally:
                os.close(handle)
                os.unlink(name)  # the mapping keeps the file
