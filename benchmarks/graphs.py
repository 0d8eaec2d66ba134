"""Random graphs with the counts of known ones, and hubs as real ones have them."""

from __future__ import annotations

import torch
from torch import Tensor

from emugraph import KnowledgeGraph, Vocabulary

SHAPES = {
    "fb15k-237": (14_541, 237, 272_115),
    "yago3-10": (123_182, 37, 1_079_040),
    "wikidata5m": (4_594_485, 822, 20_614_279),
}
"""Entities, relations and training triples."""


def generate(shape: str, *, held_out: int = 5000, seed: int = 0) -> KnowledgeGraph:
    """A graph of a shape: distinct triples whose heads, tails and relations are drawn by Zipf's law.

    Each entity stands in a training triple. The chance of the entity with the i-th most triples is in proportion to
    1 / (i + 20), so that the first of 4.6 million has some four in a thousand of all places.

    Args:
        shape: one of ``SHAPES``.
        held_out: validation triples, and as many test triples.
        seed: of all that is drawn.
    """
    entities, relations, triples = SHAPES[shape]
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(entities, generator=generator)
    count = triples + 2 * held_out
    columns = [order[_zipf(entities, count, 20, generator)], _zipf(relations, count, 3, generator)]
    columns.append(order[_zipf(entities, count, 20, generator)])
    every = torch.stack(columns, dim=1)
    every[:entities:2, 0] = torch.arange(0, entities, 2)  # each entity once at least: those of even ids as heads,
    every[1:entities:2, 2] = torch.arange(1, entities, 2)  # the others as tails
    _make_distinct(every, entities, relations, generator)
    train, valid, test = every.split([triples, held_out, held_out])
    labels = Vocabulary((f"Q{i}" for i in range(entities)), "entity")
    return KnowledgeGraph(
        labels, Vocabulary((f"P{i}" for i in range(relations)), "relation"), train, valid, test, name=f"{shape}-shape"
    )


def _zipf(size: int, count: int, shift: int, generator: torch.Generator) -> Tensor:
    """Ids (count,) of 0..size - 1; i comes with a chance in proportion to 1 / (i + shift)."""
    sums = torch.arange(shift, size + shift, dtype=torch.float64).reciprocal_().cumsum_(0)
    drawn = torch.rand(count, dtype=torch.float64, generator=generator).mul_(sums[-1])
    return torch.searchsorted(sums, drawn).clamp_max_(size - 1)


def _make_distinct(triples: Tensor, entities: int, relations: int, generator: torch.Generator) -> None:
    """Draw triples that stand before already anew, in place: their relation and the end that is not promised."""
    while True:
        keys = (triples[:, 0] * relations + triples[:, 1]) * entities + triples[:, 2]
        order = torch.argsort(keys, stable=True)
        repeated = order[1:][keys[order[1:]] == keys[order[:-1]]]
        if not len(repeated):
            return
        free = torch.where((repeated < entities) & (repeated % 2 == 0), 2, 0)  # a head that is promised stays
        triples[repeated, free] = torch.randint(entities, (len(repeated),), generator=generator)
        triples[repeated, 1] = torch.randint(relations, (len(repeated),), generator=generator)
