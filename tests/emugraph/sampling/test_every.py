from __future__ import annotations

import torch

from emugraph.sampling import EveryEntity


def test_each_entity_once_for_the_whole_batch() -> None:
    triples = torch.zeros(5, 3, dtype=torch.int64)
    drawn = EveryEntity(4).sample(triples, "tail", torch.Generator().manual_seed(0))
    assert drawn.tolist() == [0, 1, 2, 3]
