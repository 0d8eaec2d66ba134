from __future__ import annotations

import torch

from emugraph import KnowledgeGraph
from emugraph.sampling import EveryEntity


def test_each_entity_once_for_the_whole_batch(star: KnowledgeGraph, generator: torch.Generator) -> None:
    assert EveryEntity(star).sample(star.train, "tail", generator).tolist() == list(range(8))
