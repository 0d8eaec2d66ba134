"""Which form of the kernels serves which tensors."""

from __future__ import annotations

import os
from types import ModuleType

import torch
from torch import Tensor

from emugraph.kernels import build, eager, native


def compiled() -> bool:
    """Whether compiled kernels serve float32 on a CPU; compiles them if that has not been tried yet."""
    return not _switched_off() and native.available()


def prepare() -> float | None:
    """Compile the kernels now rather than at their first use.

    Returns:
        The seconds it took, or None when there was nothing to compile: loaded already or from the cache, switched off,
        or not possible (then said once in a warning).
    """
    if _switched_off() or build.loaded():
        return None
    return build.library().seconds


def status() -> str:
    """What computes float32 on a CPU, and why, in one line; compiles the kernels if that has not been tried yet."""
    if _switched_off():
        return "PyTorch (EMUGRAPH_KERNELS=off)"
    library = build.library()
    return f"PyTorch ({library.reason})" if library.handle is None else f"compiled ({library.reason})"


def form(*tensors: Tensor) -> ModuleType:
    """The module that serves these tensors."""
    known = (torch.float32, torch.bool, torch.uint8)
    fits = all(t.device.type == "cpu" and t.dtype in known and t.numel() for t in tensors)
    return native if fits and compiled() else eager


def _switched_off() -> bool:
    return os.environ.get("EMUGRAPH_KERNELS", "").casefold() in {"off", "0", "false", "no"}
