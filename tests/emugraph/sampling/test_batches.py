from __future__ import annotations

import torch

from emugraph.sampling import AlternatingSides, Batches, SidesByRelation


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


def test_sides_in_turn_visit_each_triple_on_both_sides() -> None:
    triples = torch.arange(30).reshape(10, 3)
    batches = AlternatingSides(triples, 5, torch.Generator().manual_seed(0))
    drawn = [batches.next() for _ in range(4)]
    assert [side for _, side in drawn] == ["tail", "head", "tail", "head"]
    for side in ("tail", "head"):
        visits = torch.cat([batch for batch, of in drawn if of == side])[:, 0] // 3
        assert sorted(visits.tolist()) == list(range(10))
    assert batches.epoch == 1


def test_sides_by_relation_visit_each_triple_once_an_epoch() -> None:
    relations = torch.arange(4000) % 2
    triples = torch.stack([torch.arange(4000), relations, torch.zeros(4000, dtype=torch.int64)], dim=1)
    batches = SidesByRelation(triples, 100, torch.Generator().manual_seed(0), torch.tensor([0.2, 0.9]))
    drawn = []
    while batches.epoch < 6:
        drawn.append(batches.next())
    visits = torch.bincount(torch.cat([batch for batch, _ in drawn])[:, 0], minlength=4000)
    assert visits.min() >= 4  # up to a batch or two of each side waits
    assert visits.max() <= 6
    assert {len(batch) for batch, _ in drawn} == {100}
    heads = torch.cat([batch for batch, side in drawn if side == "head"])
    total = torch.cat([batch for batch, _ in drawn])
    for relation, chance in ((0, 0.2), (1, 0.9)):
        actual, of = (int((batch[:, 1] == relation).sum()) for batch in (heads, total))
        assert abs(actual / of - chance) < 0.03


def test_sides_that_never_come() -> None:
    triples = torch.zeros(7, 3, dtype=torch.int64)
    batches = SidesByRelation(triples, 7, torch.Generator().manual_seed(0), torch.tensor([1.0]))
    assert [batches.next()[1] for _ in range(3)] == ["head"] * 3
