"""How the library's functions are called."""

from __future__ import annotations

import ctypes
from array import array

import torch
from torch import Tensor

from emugraph.kernels.build import library

ARGUMENTS: dict[str, str] = {
    "emugraph_adagrad_step": "floats floats number number number floats ids? floats number ids",
    "emugraph_adam_refresh": "floats floats floats number number ids history number floats ids? number",
    "emugraph_adam_step": "floats floats floats number number ids history number floats ids? floats number ids",
    "emugraph_count_better": "floats number number floats ids? number ids ids",
    "emugraph_gathered": ("number floats floats ids floats? ids? number number number number number floats floats?"),
    "emugraph_gathered_backward": (
        "number floats floats ids floats? ids? number floats? floats? floats? floats? number number number number "
        "floats floats floats?"
    ),
    "emugraph_mixed": "number floats floats floats floats number number number floats",
    "emugraph_mixed_backward": (
        "number floats floats floats floats floats floats? number number number floats floats floats"
    ),
    "emugraph_pack_mask": "bytes number number ids",
    "emugraph_pairwise": "number floats floats floats? ids? number number number number floats floats?",
    "emugraph_pairwise_backward": (
        "number floats floats floats? ids? number floats? floats? floats? floats? number number number "
        "floats floats floats?"
    ),
    "emugraph_products_bfloat16": "floats floats number number number floats",
    "emugraph_softmax_loss": "floats floats floats number number floats floats",
    "emugraph_softmax_loss_backward": "floats floats floats floats floats number number floats floats",
}
"""What each function takes before the number of threads: tensors of ``floats`` (float32), of ``ids`` (int64, or 64 bits
of a mask) or of ``bytes`` (bool or uint8), a ``history`` (Python's array of float32), or a ``number``; with "?" where
None may stand for a null pointer. A tensor must be contiguous and on a CPU: what C++ gets of it is an address."""

_DTYPES = {"floats": (torch.float32,), "ids": (torch.int64,), "bytes": (torch.bool, torch.uint8)}
_DTYPES |= {f"{kind}?": dtypes for kind, dtypes in _DTYPES.items()}
_KINDS = {name: tuple(kinds.split()) for name, kinds in ARGUMENTS.items()}


def available() -> bool:
    """Whether the library could be compiled (now, if need be) and loaded."""
    return library().handle is not None


def call(name: str, *arguments: Tensor | array[float] | int | None) -> None:
    """Call a function of the library, with PyTorch's number of threads as its last argument.

    Raises:
        IndexError: an index lies outside the table.
        MemoryError: the function could not get its working memory.
        TypeError: an argument is not what :data:`ARGUMENTS` says.
    """
    kinds = _KINDS[name]
    if len(arguments) != len(kinds):
        raise TypeError(f"{name} takes {len(kinds)} arguments, got {len(arguments)}")
    words: list[ctypes.c_int64] = []
    for argument, kind in zip(arguments, kinds, strict=True):
        word = _word(argument, kind)
        if word is None:
            raise TypeError(_refusal(name, len(words), argument, kind))
        words.append(ctypes.c_int64(word))
    outcome = getattr(library().handle, name)(*words, ctypes.c_int64(torch.get_num_threads()))
    if outcome == 2:
        raise IndexError("an index lies outside the table")
    if outcome:
        raise MemoryError(f"{name} could not get its working memory")


def _word(argument: Tensor | array[float] | int | None, kind: str) -> int | None:
    """The number or the address that is handed over, None where the argument is not of its kind."""
    if isinstance(argument, Tensor):
        fits = argument.dtype in _DTYPES.get(kind, ()) and argument.is_cpu and argument.is_contiguous()
        return argument.data_ptr() if fits else None
    if argument is None:
        return 0 if kind.endswith("?") else None
    if isinstance(argument, array):
        return argument.buffer_info()[0] if kind == "history" and argument.typecode == "f" else None
    return argument if kind == "number" and isinstance(argument, int) else None


def _refusal(name: str, place: int, argument: object, kind: str) -> str:
    if kind in _DTYPES:
        wanted = f"a contiguous tensor of {' or '.join(map(str, _DTYPES[kind]))} on a CPU"
    else:
        wanted = {"number": "a whole number", "history": "an array of float32"}[kind]
    actual = repr(argument)
    if isinstance(argument, Tensor):
        layout = "" if argument.is_contiguous() else ", not contiguous,"
        actual = f"a tensor {tuple(argument.shape)} of {argument.dtype}{layout} on {argument.device}"
    return f"argument {place} of {name} must be {wanted}, got {actual}"
