"""What the public functions refuse.

Each check raises :class:`~emugraph.errors.InputError`; those that name the kind of score give the number of units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph.errors import InputError, nearest

KINDS = ("l1", "l2", "modulus", "dot")


def check(kind: str, q: Tensor, e: Tensor) -> int:
    """Refuse what does not fit, and give the number of units."""
    if kind not in KINDS:
        raise InputError(f"unknown kind of score {kind!r}; known: {', '.join(KINDS)}.{nearest(kind, KINDS)}")
    if q.dim() != 2 or e.dim() != 2 or q.shape[1] != e.shape[1]:
        raise InputError(f"queries and candidates must be (B, w) and (K, w), got {tuple(q.shape)} and {tuple(e.shape)}")
    if kind != "modulus":
        return q.shape[1]
    if q.shape[1] % 2:
        raise InputError(f"a complex row needs an even width: real parts, then imaginary parts; got {q.shape[1]}")
    return q.shape[1] // 2


def check_masked(q: Tensor, positive: Tensor, mask: Tensor, shapes: list[tuple[int, ...]]) -> None:
    if mask.dtype not in (torch.bool, torch.uint8, torch.int64):
        raise InputError(f"a mask must be of bool or uint8, or packed into int64, got {mask.dtype}")
    if positive.shape != q.shape or mask.shape not in shapes:
        raise InputError(
            f"positive must be {tuple(q.shape)} and mask {' or '.join(map(str, shapes))}, "
            f"got {tuple(positive.shape)} and {tuple(mask.shape)}"
        )


def check_mixed(kind: str, q: Tensor, e: Tensor, positive: Tensor, weight: Tensor) -> None:
    check(kind, q, e)
    if kind == "dot":
        raise InputError('"dot" scores are not mixed here: mix them as their candidates, with torch.lerp')
    if positive.shape != q.shape or weight.shape != (len(e),) or weight.dtype != q.dtype:
        raise InputError(
            f"positive must be {tuple(q.shape)} and weight {(len(e),)} of {q.dtype}, "
            f"got {tuple(positive.shape)} and {tuple(weight.shape)} of {weight.dtype}"
        )


def mask_width(mask: Tensor, units: int) -> int:
    return -(-units // 64) if mask.dtype == torch.int64 else units


def check_gathered(kind: str, q: Tensor, table: Tensor, index: Tensor) -> int:
    units = check(kind, q, table)
    if index.dim() != 2 or len(index) != len(q) or index.dtype != torch.int64:
        raise InputError(f"index must be ({len(q)}, K) of int64, got {tuple(index.shape)} of {index.dtype}")
    return units
