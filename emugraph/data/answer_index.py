"""The known answers of a query, looked up for a whole batch at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from emugraph.types import Side

PIECE = 1 << 17
"""Triples that are looked through at one time."""


class AnswerIndex:
    """For one side, all known answers of each query (entity, relation), as a compressed index.

    Args:
        triples: known triples, int64 (n, 3); repeated ones count once.
        num_relations: R.
        side: the target. "tail": the query is (head, relation), its answers are tails.
    """

    def __init__(self, triples: Tensor, num_relations: int, side: Side) -> None:
        self.num_relations = num_relations
        self.side = side
        pairs = torch.stack([self.keys(triples), triples[:, 2 if side == "tail" else 0]], dim=1)
        order = torch.argsort(pairs[:, 1], stable=True)
        pairs = pairs[order]
        pairs = pairs[torch.argsort(pairs[:, 0], stable=True)]
        if len(pairs):
            first = torch.ones(len(pairs), dtype=torch.bool, device=pairs.device)
            first[1:] = (pairs[1:] != pairs[:-1]).any(dim=1)
            pairs = pairs[first]
        self.query_keys, counts = torch.unique_consecutive(pairs[:, 0], return_counts=True)
        self.starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])  # (queries + 1,)
        self.answers = pairs[:, 1].contiguous()

    @classmethod
    def of_queries(cls, queries: Tensor, pieces: Iterable[Tensor], num_relations: int, side: Side) -> AnswerIndex:
        """The index of the answers to some queries alone, however many triples are known.

        Args:
            queries: triples, int64 (m, 3), whose queries will be looked up, and no others.
            pieces: known triples, some at a time, each int64 (n, 3).
            num_relations: R.
            side: the target.
        """
        keys = query_keys(queries, num_relations, side).unique()
        kept = array("q")  # and no list of tensors: between those that are freed, they would tear memory to shreds
        for some in pieces if len(keys) else ():
            kept.frombytes(some[among(keys, query_keys(some, num_relations, side))].numpy().tobytes())
        return cls(torch.from_numpy(np.asarray(kept)).view(-1, 3), num_relations, side)

    def keys(self, triples: Tensor) -> Tensor:
        """One int64 for each triple's query, (n,)."""
        return query_keys(triples, self.num_relations, self.side)

    def slots(self, triples: Tensor) -> tuple[Tensor, Tensor]:
        """Where each triple's query stands in ``query_keys``, and whether it does, both (n,); a slot is always valid
        unless there is no query at all."""
        keys = self.keys(triples)
        if not len(self.query_keys):
            return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
        slot = torch.searchsorted(self.query_keys, keys).clamp_max(len(self.query_keys) - 1)
        return slot, self.query_keys[slot] == keys

    def to(self, device: torch.device) -> AnswerIndex:
        """The index on another device, in place."""
        self.query_keys, self.starts, self.answers = (
            t.to(device) for t in (self.query_keys, self.starts, self.answers)
        )
        return self

    def of(self, triples: Tensor) -> tuple[Tensor, Tensor]:
        """The answers of each triple's query.

        Args:
            triples: int64 (B, 3).

        Returns:
            rows and answers, both int64 (M,): answer ``answers[j]`` is known for the query of ``triples[rows[j]]``.
        """
        slot, has_answers = self.slots(triples)
        if not len(self.query_keys):
            return slot.new_empty(0), slot.new_empty(0)
        start = self.starts[slot]
        count = torch.where(has_answers, self.starts[slot + 1] - start, 0)
        rows = torch.repeat_interleave(torch.arange(len(slot), device=slot.device), count)
        offset = torch.arange(len(rows), device=slot.device) - (count.cumsum(0) - count)[rows]
        return rows, self.answers[start[rows] + offset]


def among(known: Tensor, keys: Tensor) -> Tensor:
    """Which keys (n,) are among the known ones, which are ascending; bool (n,)."""
    if not len(known):
        return torch.zeros_like(keys, dtype=torch.bool)
    return known[torch.searchsorted(known, keys).clamp_max_(len(known) - 1)] == keys


def query_keys(triples: Tensor, num_relations: int, side: Side) -> Tensor:
    """One int64 for each triple's query, (n,): known entity times R plus relation."""
    return triples[:, 0 if side == "tail" else 2] * num_relations + triples[:, 1]
