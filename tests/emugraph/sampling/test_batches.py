from __future__ import annotations

import torch

from emugraph.sampling import Batches


def test_each_triple_once_an_epoch_and_every_batch_full() -> None:
    triples = torch.arange(30).reshape(10, 3)
    batches = Batches(triples, 4, torch.Generator().manual_seed(0))
    drawn = [batches.next() for _ in range(5)]  # two epochs
    assert {len(batch) for batch in drawn} == {4}
    visits = torch.cat(drawn)[:, 0] // 3
    assert sorted(visits[:10].tolist()) == list(range(10))
    assert sorted(visits[10:].tolist()) == list(range(10))
    assert visits[:10].tolist() != visits[10:].tolist()
    assert batches.epoch == 2


def test_a_batch_is_never_larger_than_the_data() -> None:
    batches = Batches(torch.arange(6).reshape(2, 3), 1000, torch.Generator().manual_seed(0))
    assert len(batches.next()) == len(batches.next()) == 2
