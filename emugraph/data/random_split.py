"""Splitting triples at random so that no entity and no relation is left without a training triple."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from emugraph.errors import InputError

Ids = npt.NDArray[np.int64]

_CHUNK = 1 << 16


def parse_fractions(text: str) -> tuple[float, float, float]:
    """The shares of train, valid and test from text such as ``"0.8,0.1,0.1"``.

    Raises:
        InputError: not three numbers, or they do not fit (see :func:`check_fractions`).
    """
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"cannot read {text!r} as shares of train, valid and test; give three numbers such as 0.8,0.1,0.1"
        ) from error
    check_fractions((train, valid, test))
    return train, valid, test


def check_fractions(fractions: tuple[float, float, float]) -> None:
    """Raise InputError unless train is above 0, no share is below 0, and they sum to 1 (within 1e-6)."""
    train, valid, test = fractions
    shares = f"shares {train:g},{valid:g},{test:g} of train, valid and test"
    # Both conditions are such that NaN does not pass.
    if not (train > 0 and valid >= 0 and test >= 0):
        raise InputError(f"{shares}: train must be above 0, the others 0 or more; for example 0.8,0.1,0.1")
    total = math.fsum(fractions)
    if not abs(total - 1) <= 1e-6:
        raise InputError(f"{shares} sum to {total:g}; they must sum to 1, for example 0.8,0.1,0.1")


def split_rows(triples: Ids, fractions: tuple[float, float, float], seed: int) -> dict[str, Ids]:
    """The rows of each split, in ascending order.

    Distinct triples are visited in random order; one leaves train if its head, its relation and its tail each
    have another training triple, until enough rows have left. Those are shared out between valid and test in
    the proportion asked for. Rows that repeat a triple stay together.

    Args:
        triples: ids (head, relation, tail), int64 (n, 3).
        fractions: the shares of train, valid and test; see :func:`check_fractions`.
        seed: the same seed gives the same splits.

    Returns:
        Row numbers for "train", "valid" and "test": together each of 0..n-1 once.
    """
    check_fractions(fractions)
    distinct, group = _distinct(triples)  # (m, 3), (n,)
    sizes = np.bincount(group, minlength=len(distinct))  # (m,)
    valid_wanted, test_wanted = (round(fraction * len(triples)) for fraction in fractions[1:])
    leaving = _leave_train(distinct, sizes, valid_wanted + test_wanted, seed)

    # Valid takes its share of the leaving rows from the front; repeated rows across the border go to test.
    left = np.cumsum(sizes[leaving])
    valid_rows = round(int(left[-1]) * valid_wanted / (valid_wanted + test_wanted)) if len(left) else 0
    split_of_triple = np.zeros(len(distinct), dtype=np.int8)
    split_of_triple[leaving] = np.where(left <= valid_rows, 1, 2)
    split_of_row = split_of_triple[group]
    return {split: np.flatnonzero(split_of_row == i) for i, split in enumerate(("train", "valid", "test"))}


def _distinct(triples: Ids) -> tuple[Ids, Ids]:
    """The distinct triples (m, 3), and for each row (n,) the number of its distinct triple."""
    order = np.lexsort(triples.T)
    ordered = triples[order]
    is_new = np.ones(len(ordered), dtype=bool)
    np.any(ordered[1:] != ordered[:-1], axis=1, out=is_new[1:])
    group = np.empty(len(ordered), dtype=np.int64)
    group[order] = np.cumsum(is_new) - 1
    return ordered[is_new], group


def _leave_train(triples: Ids, sizes: Ids, wanted: int, seed: int) -> Ids:
    """The distinct triples, by number, that leave train: at most ``wanted`` rows in all, in random order."""
    # How many training triples each entity and relation still has; a self-loop is one of its entity.
    heads, relations, tails = triples.T
    of_entity = np.bincount(np.concatenate([heads, tails[tails != heads]])).tolist()
    of_relation = np.bincount(relations).tolist()

    leaving: list[int] = []
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(seed), device="cpu").numpy()
    for start in range(0, len(order), _CHUNK):
        chunk = order[start : start + _CHUNK]
        candidates = zip(chunk.tolist(), triples[chunk].tolist(), sizes[chunk].tolist(), strict=True)
        for number, (head, relation, tail), size in candidates:
            if not wanted:
                return np.array(leaving, dtype=np.int64)
            if size > wanted or of_entity[head] < 2 or of_entity[tail] < 2 or of_relation[relation] < 2:
                continue
            of_entity[head] -= 1
            if tail != head:
                of_entity[tail] -= 1
            of_relation[relation] -= 1
            wanted -= size
            leaving.append(number)
    return np.array(leaving, dtype=np.int64)
