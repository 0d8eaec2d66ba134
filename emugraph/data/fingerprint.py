"""What a graph is known by, whatever it is called."""

from __future__ import annotations

import hashlib
from typing import Any

from emugraph.data.graph import KnowledgeGraph
from emugraph.types import SPLITS


def fingerprint(kg: KnowledgeGraph) -> dict[str, Any]:
    """What a graph is known by: its counts, and a sum over its labels and triples."""
    digest = hashlib.sha256()
    for labels in (kg.entities, kg.relations):
        for label in labels:
            digest.update(b"%d:" % len(label) + label.encode())
    for split in SPLITS:
        for piece in kg.pieces(split):
            digest.update(piece.numpy().data)
    return counts_of(kg) | {"sha256": digest.hexdigest()}


def counts_of(kg: KnowledgeGraph) -> dict[str, int]:
    """How many entities, relations and triples of each split a graph has."""
    counts = {"entities": kg.num_entities, "relations": kg.num_relations}
    return counts | {split: kg.count(split) for split in SPLITS}
