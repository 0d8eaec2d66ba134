"""Negatives of some positives, as embeddings: drawn by a sampler, and mixed with the positive or not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError, nearest
from emugraph.models import Model
from emugraph.mutation import draw_masks, draw_mixup_weights, mutate
from emugraph.sampling import KHop, Uniform

KINDS = ("uniform", "sans", "emu", "mixup")
"""Uniform; from the k-hop neighbourhood; uniform and mutated; uniform and mixed in proportion."""

TITLES = {"uniform": "uniform", "sans": "SANS", "emu": "EMU", "mixup": "MIXUP"}


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise InputError for a kind of negatives that there is not."""
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"unknown kind of negatives {kind!r}; known: {', '.join(KINDS)}.{nearest(kind, KINDS)}")


@torch.no_grad()
def draw(
    model: Model,
    kg: KnowledgeGraph,
    triples: Tensor,
    kind: str,
    k: int,
    *,
    mutation_rate: float,
    hops: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """True tails and negatives in their place.

    Args:
        model: whose embeddings they are.
        kg: its graph.
        triples: the positives (n, 3).
        kind: one of :data:`KINDS`; those mixed are uniform ones, mixed with their own positive.
        k: negatives for each positive, K.
        mutation_rate: share of components that mutated negatives have from the positive.
        hops: how far those of the neighbourhood may be.
        generator: the source of random numbers.

    Returns:
        embeddings of the tails (n, w) and of the negatives (n, K, w), on the CPU.
    """
    check_kinds([kind])
    sampler = KHop(kg, hops, k) if kind == "sans" else Uniform(kg, k, shared=False)
    entities = model.entities.cpu()
    negatives = entities[sampler.sample(triples, "tail", generator)]  # (n, K, w)
    positives = entities[triples[:, 2]]
    if kind == "emu":
        mask = draw_masks((len(triples), k), model.num_components, mutation_rate, generator)
        negatives = mutate(positives.unsqueeze(1), negatives, mask)
    elif kind == "mixup":
        weight = draw_mixup_weights((len(triples), k), generator).unsqueeze(-1)
        negatives = torch.lerp(positives.unsqueeze(1), negatives, weight)
    return positives, negatives


def some_triples(kg: KnowledgeGraph, split: str, count: int, seed: int) -> Tensor:
    """A fixed random sample of a split. Raises InputError if it is empty."""
    triples = kg.triples(split)
    if not len(triples):
        raise InputError(f"the {split} split of {kg.name} is empty; there are no positives to look at")
    generator = torch.Generator().manual_seed(seed)
    return triples[torch.randperm(len(triples), generator=generator, device="cpu")[:count]]
