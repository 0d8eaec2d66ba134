"""What a knowledge graph looks like in numbers: the kinds of its relations and the degrees of its entities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from emugraph.data.graph import KnowledgeGraph

CARDINALITIES = ("1-1", "1-N", "N-1", "N-N")


def answers_per_query(kg: KnowledgeGraph) -> tuple[Tensor, Tensor]:
    """For each relation its mean number of heads per tail and of tails per head, float64 (R,) each.

    From the training triples, repeated ones counted once; NaN for a relation without any.
    """
    triples = torch.unique(kg.train, dim=0)
    counts = torch.bincount(triples[:, 1], minlength=kg.num_relations).double()
    heads = _distinct(triples[:, [1, 0]], kg.num_relations)
    tails = _distinct(triples[:, [1, 2]], kg.num_relations)
    return counts / tails, counts / heads


def relation_cardinalities(kg: KnowledgeGraph) -> list[str | None]:
    """Each relation's kind, from the training triples: "1-1", "1-N", "N-1", "N-N", or None for one without triples.

    A side is "N" if the other side has 1.5 or more entities on average. Bordes et al., "Translating Embeddings for
    Modeling Multi-relational Data", NeurIPS 2013, section 4.3.
    """
    means = zip(*(mean.tolist() for mean in answers_per_query(kg)), strict=True)
    return [
        None if math.isnan(heads) else f"{'N' if heads >= 1.5 else '1'}-{'N' if tails >= 1.5 else '1'}"
        for heads, tails in means
    ]


def describe(kg: KnowledgeGraph) -> dict[str, Any]:
    """A graph's summary with ``cardinalities`` and ``degrees``.

    ``cardinalities``: for each kind the number of relations and of training triples. ``degrees``: over entities, the
    number of training triples with the entity at either end (a self-loop counts twice): mean, median, 99th percentile,
    largest and the label of the entity that has it.
    """
    kinds = relation_cardinalities(kg)
    counts = torch.bincount(kg.train[:, 1], minlength=kg.num_relations).tolist()
    cardinalities = {
        kind: {
            "relations": sum(k == kind for k in kinds),
            "triples": sum(c for k, c in zip(kinds, counts, strict=True) if k == kind),
        }
        for kind in CARDINALITIES
    }
    described = kg.summary() | {"cardinalities": cardinalities}
    if kg.num_entities:
        degrees = torch.bincount(kg.train[:, [0, 2]].flatten(), minlength=kg.num_entities)
        ordered = degrees.sort().values
        hub = int(degrees.argmax())
        described["degrees"] = {
            "mean": round(degrees.double().mean().item(), 2),
            "median": int(ordered[len(ordered) // 2]),
            "p99": int(ordered[int(0.99 * (len(ordered) - 1))]),
            "max": int(degrees[hub]),
            "max_entity": kg.display(hub),
        }
    return described


def _distinct(pairs: Tensor, size: int) -> Tensor:
    """For each first id, the number of distinct second ids, (size,)."""
    return torch.bincount(torch.unique(pairs, dim=0)[:, 0], minlength=size)
