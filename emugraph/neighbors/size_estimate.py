"""How large a neighbourhood will be, before it is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError
from emugraph.neighbors.candidate_search import block_size, find
from emugraph.system import format_bytes

SAMPLE = 256
"""Entities that an estimate is made from."""

_BYTES_A_PAIR = 40
"""Working memory for each pair of entities that a block holds, as measured."""


@dataclass(frozen=True)
class Estimate:
    """What a neighbourhood is expected to take.

    Args:
        entities: the number of entities.
        candidates: expected number of candidates of all of them together.
        disk: bytes of the file in the cache.
        memory: bytes of memory while it is computed and while negatives are drawn from it.
        exact: whether the number was counted, and not estimated from a sample.
        what: the neighbourhood in words.
    """

    entities: int
    candidates: int
    disk: int
    memory: int
    exact: bool
    what: str

    def __str__(self) -> str:
        share = self.candidates / max(1, self.entities * (self.entities - 1))
        near_all = f" ({share:.0%} of all pairs, hardly other than uniform)" if share > 0.5 else ""
        return (
            f"{self.what}: {'' if self.exact else 'about '}{self.candidates:,} candidates expected{near_all}, "
            f"{format_bytes(self.memory)} of memory, {format_bytes(self.disk)} on disk"
        )

    def check(self, max_memory: int) -> None:
        """Raise InputError, with the way out, where more memory is expected than there may be."""
        if self.memory > max_memory:
            raise InputError(f"{self}; {beyond(max_memory)}")


def estimate(kg: KnowledgeGraph, hops: int = 3, *, walks: int = 0, seed: int = 0) -> Estimate:
    """Expect how many candidates a neighbourhood has, from a random sample of 256 entities.

    Args:
        kg: the graph.
        hops: how far candidates may be, or how long walks are.
        walks: random walks from each entity; 0 for all entities within reach.
        seed: the seed of the sample.

    Raises:
        InputError: hops, walks or seed out of range.
    """
    check_reach(hops, walks, seed)
    size = kg.num_entities
    sample = np.arange(size)
    if size > SAMPLE:
        sample = np.sort(np.random.default_rng(seed).choice(size, SAMPLE, replace=False))
    total = sum(int(counts.sum()) for counts, _ in find(kg, sample, hops, walks, seed))
    candidates = round(total * size / max(1, len(sample)))
    disk = 4 * candidates + 8 * (size + 1)
    visited = walks * (hops + 1) if walks else candidates / max(1, size)
    working = round(_BYTES_A_PAIR * visited * min(size, block_size(size, hops, walks)))
    reach = f"{hops} {'step' if walks else 'hop'}{'' if hops == 1 else 's'}"
    what = f"{kg.name}, {walks:,} walks of {reach}" if walks else f"{kg.name}, {reach}"
    return Estimate(size, candidates, disk, disk + working, len(sample) == size, what)


def beyond(max_memory: int) -> str:
    """What to do where a bound is passed, for a message."""
    return (
        f"the bound is {format_bytes(max_memory)}. Use random walks (neighbors --walks 1000, train --sampler walk), "
        "fewer of them, or fewer hops; or set the bound (neighbors precompute --max-memory)"
    )


def check_reach(hops: int, walks: int, seed: int) -> None:
    """Raise InputError where hops, walks or the seed are out of range."""
    if not 1 <= hops <= 100:
        raise InputError(f"hops is {hops}; give 1 to 100")
    if not 0 <= walks <= 1_000_000:
        raise InputError(f"walks is {walks}; give 1 to 1,000,000, or 0 for all entities within reach")
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}; give 0 to 2^63 - 1")
