"""Where a computation stands, as a flat dictionary of tensors and numbers.

What has parts keeps theirs under names with a dot: ``{"count": 3, "tail.pending": tensor}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor

State = dict[str, Any]
"""Tensors, whole numbers, floating-point numbers and truth values by name."""


def under(name: str, state: Mapping[str, Any]) -> State:
    """A part's state as it stands in the state of the whole."""
    return {f"{name}.{key}": value for key, value in state.items()}


def part_of(state: Mapping[str, Any], name: str) -> State:
    """The state of a part, the inverse of :func:`under`."""
    return {key[len(name) + 1 :]: value for key, value in state.items() if key.startswith(f"{name}.")}


@contextmanager
def taken_over() -> Iterator[None]:
    """Turn what goes wrong where a state is taken over into ValueError: what it lacks, and what is not as expected."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"there is no {error.args[0]}") from error
    except (RuntimeError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def same_shape(value: Any, expected: Tensor, what: str) -> Tensor:
    """``value``, if it is a tensor of the shape and kind of numbers of ``expected``; else ValueError names ``what``."""
    if isinstance(value, Tensor) and value.shape == expected.shape and value.dtype == expected.dtype:
        return value
    shape = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, Tensor) else repr(value)
    raise ValueError(f"{what} is {shape}, not {tuple(expected.shape)} {expected.dtype}")


def ids_below(bound: int, value: Any, what: str) -> Tensor:
    """``value``, if it is a tensor of whole numbers in 0..bound - 1; else ValueError names ``what``."""
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        raise ValueError(f"{what} is {value!r:.50}, not a tensor of ids")
    if value.numel() and not 0 <= int(value.min()) <= int(value.max()) < bound:
        raise ValueError(f"{what} has ids outside 0..{bound - 1}")
    return value
