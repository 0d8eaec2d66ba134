"""Neighbourhoods on disk: computed once, in the cache under what they were made from, memory-mapped, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import building, cache_root
from emugraph.io.checksums import Sums
from emugraph.neighbors.candidate_search import Block, find
from emugraph.neighbors.neighborhood import Neighborhood
from emugraph.neighbors.random_walks import source
from emugraph.neighbors.size_estimate import Estimate, beyond, check_reach, estimate
from emugraph.system import format_bytes, usable_memory

FORMAT = 1
"""Version of the files and of what counts as a candidate; another number is another key."""

STARTS, CANDIDATES, DESCRIPTION = "starts.i64", "candidates.i32", "neighborhood.json"


def compute(kg: KnowledgeGraph, hops: int = 3, *, walks: int = 0, seed: int = 0) -> Neighborhood:
    """The neighbourhood of every entity over the training triples, relations and directions ignored, in memory.

    An entity's candidates are all other entities within ``hops`` edges of it, nearer ones and its own neighbours
    included. With ``walks`` they are the ends of that many random walks of ``hops`` steps from the entity, each end
    once, the entity itself left out; they too lie within ``hops``, and the seed decides which they are.

    Args:
        kg: the graph.
        hops: how far candidates may be, or how long walks are.
        walks: random walks from each entity; 0 for all entities within reach.
        seed: the seed of the walks; where DGL is installed, its own random numbers are seeded with it.

    Raises:
        InputError: hops, walks or seed out of range.

    Ahrabian et al., "Structure Aware Negative Sampling in Knowledge Graphs", EMNLP 2020.
    """
    check_reach(hops, walks, seed)
    blocks = list(find(kg, np.arange(kg.num_entities), hops, walks, seed))
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(counts for counts, _ in blocks)])
    candidates = np.concatenate([np.zeros(0, dtype=np.int32), *(part for _, part in blocks)])
    return Neighborhood(torch.from_numpy(counts.cumsum()), torch.from_numpy(candidates), hops, walks, seed)


def neighborhood(
    kg: KnowledgeGraph,
    hops: int = 3,
    *,
    walks: int = 0,
    seed: int = 0,
    max_memory: int | None = None,
    on_estimate: Callable[[Estimate], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Neighborhood:
    """The same as :func:`compute` from the cache, or computed into it; memory-mapped and checked.

    Args:
        kg: the graph.
        hops: how far candidates may be, or how long walks are.
        walks: random walks from each entity; 0 for all entities within reach.
        seed: the seed of the walks.
        max_memory: bytes that it may take; None for half of the machine's, and any that is in the cache.
        on_estimate: called with what is expected before anything is computed; not called where it is in the cache.
        advance: called with the number of entities that have been done since the last call, as the work goes on.

    Raises:
        InputError: hops or walks out of range, or it would take more than ``max_memory``.
        EmugraphError: the cache cannot be written to.
    """
    check_reach(hops, walks, seed)
    bound = usable_memory() // 2 if max_memory is None else max_memory
    folder = stored_at(kg, hops, walks=walks, seed=seed)
    cached = _read(folder, kg.num_entities, hops, walks, seed)
    if cached is not None:
        if max_memory is not None and cached.nbytes > bound:
            raise InputError(f"{kg.name}, {hops} hops: {format_bytes(cached.nbytes)}; {beyond(bound)}")
        return cached
    expected = estimate(kg, hops, walks=walks, seed=seed)
    if on_estimate is not None:
        on_estimate(expected)
    expected.check(bound)
    with building(folder, lambda other: _read(other, kg.num_entities, hops, walks, seed) is not None) as unfinished:
        blocks = find(kg, np.arange(kg.num_entities), hops, walks, seed)
        _write(unfinished, blocks, (hops, walks, seed), kg.num_entities, bound, advance)
    written = _read(folder, kg.num_entities, hops, walks, seed)
    assert written is not None
    return written


def stored_at(kg: KnowledgeGraph, hops: int, *, walks: int = 0, seed: int = 0) -> Path:
    """The folder in the cache for a neighbourhood, whether it is there or not.

    Its name is made from the training triples, the number of entities, hops, walks, seed, the format's version and what
    draws the walks, where that is not DGL.
    """
    made_from: list[int | str] = [FORMAT, kg.num_entities, hops, walks, seed if walks else 0]
    if walks and source() != "dgl":
        made_from.append(source())
    digest = hashlib.sha256(json.dumps(made_from).encode())
    digest.update(kg.train.contiguous().numpy().data)
    return cache_root() / "neighbors" / digest.hexdigest()[:32]


def _write(
    folder: Path,
    blocks: Iterable[Block],
    made: tuple[int, int, int],
    size: int,
    bound: int,
    advance: Callable[[int], None] | None,
) -> None:
    """Write blocks as they come, within the bound."""
    starts = np.zeros(size + 1, dtype="<i8")
    digest, done = hashlib.sha256(), 0
    with (folder / CANDIDATES).open("wb") as file:
        counts: np.ndarray
        for counts, candidates in blocks:
            starts[done + 1 : done + 1 + len(counts)] = counts
            done += len(counts)
            piece = candidates.astype("<i4", copy=False).data
            file.write(piece)
            digest.update(piece)
            if file.tell() > bound:
                raise InputError(f"{format_bytes(file.tell())} after {done:,} of {size:,} entities; {beyond(bound)}")
            if advance is not None:
                advance(len(counts))
    starts = starts.cumsum()
    (folder / STARTS).write_bytes(starts.data)
    hops, walks, seed = made
    description = {
        "format": FORMAT,
        "entities": size,
        "candidates": int(starts[-1]),
        "hops": hops,
        "walks": walks,
        "seed": seed,
        "sha256": {STARTS: hashlib.sha256(starts.data).hexdigest(), CANDIDATES: digest.hexdigest()},
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _read(folder: Path, size: int, hops: int, walks: int, seed: int) -> Neighborhood | None:
    """What a folder holds, memory-mapped; None where it is not there or not what was written."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        count, sums = described["candidates"], described["sha256"]
        if (described["entities"], described["hops"], described["walks"]) != (size, hops, walks):
            return None
        starts = _map(folder / STARTS, size + 1, torch.int64, sums[STARTS])
        candidates = _map(folder / CANDIDATES, count, torch.int32, sums[CANDIDATES])
    except (OSError, EmugraphError, ValueError, KeyError, TypeError):
        return None
    return Neighborhood(starts, candidates, hops, walks, seed)


def _map(path: Path, count: int, dtype: torch.dtype, sha256: str) -> Tensor:
    """A file of numbers, memory-mapped. Raises EmugraphError or ValueError where it is not what was written."""
    Sums(sha256=sha256, size=count * dtype.itemsize).verify(path)
    return (
        torch.from_file(str(path), shared=False, size=count, dtype=dtype)
        if count
        else torch.empty(0, dtype=dtype, device="cpu")
    )
