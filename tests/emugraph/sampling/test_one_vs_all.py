from __future__ import annotations

import torch

from emugraph import KnowledgeGraph
from emugraph.sampling import OneVsAll


def test_each_entity_once_for_the_whole_batch(star: KnowledgeGraph, generator: torch.Generator) -> None:
    assert OneVsAll(star).sample(star.train, "tail", generator).tolist() == list(range(8))
