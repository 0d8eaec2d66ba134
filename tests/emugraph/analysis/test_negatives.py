from __future__ import annotations

import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.analysis.negatives import draw, some_triples
from emugraph.models import ComplEx, DistMult, RotatE
from emugraph.neighbors import compute

OPTIONS = {"mutation_rate": 0.5, "hops": 2}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_uniform_ones_are_entities_and_the_tails_are_the_true_ones(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 6)
    tails, negatives = draw(model, grid, grid.test, "uniform", 9, generator=generator(), **OPTIONS)
    assert torch.equal(tails, model.entities[grid.test[:, 2]])
    assert negatives.shape == (10, 9, 6)
    assert (negatives.unsqueeze(2) == model.entities).all(-1).any(-1).all()


def test_sans_ones_are_near_the_head(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 6)
    near = compute(grid, hops=2)
    _, negatives = draw(model, grid, grid.test, "sans", 9, generator=generator(), **OPTIONS)
    for triple, rows in zip(grid.test.tolist(), negatives, strict=True):
        allowed = model.entities[near.of(triple[0])]
        assert (rows.unsqueeze(1) == allowed).all(-1).any(-1).all()


@pytest.mark.parametrize("cls", [DistMult, ComplEx, RotatE])
def test_emu_ones_have_their_share_from_the_positive(cls: type[DistMult], grid: KnowledgeGraph) -> None:
    model = cls(grid.num_entities, grid.num_relations, 6)
    tails, negatives = draw(model, grid, grid.test, "emu", 9, generator=generator(), **OPTIONS)
    _, plain = draw(model, grid, grid.test, "uniform", 9, generator=generator(), **OPTIONS)
    taken = negatives == tails.unsqueeze(1)
    assert (taken | (negatives == plain)).all()
    other = (plain != tails.unsqueeze(1)).all(-1)  # not the positive itself by chance
    assert (taken.sum(-1)[other] == negatives.shape[-1] // 2).all()


def test_mixup_ones_lie_between(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 6)
    tails, mixed = draw(model, grid, grid.test, "mixup", 200, generator=generator(), **OPTIONS)
    _, plain = draw(model, grid, grid.test, "uniform", 200, generator=generator(), **OPTIONS)
    whole = (plain - tails.unsqueeze(1)).norm(dim=-1)
    share = (mixed - tails.unsqueeze(1)).norm(dim=-1)[whole > 0] / whole[whole > 0]
    assert share.max() <= 1 + 1e-5
    assert share.mean().item() == pytest.approx(2 / 3, abs=0.03)  # of Beta(2, 1)


def test_samples_are_fixed_and_come_from_the_split(grid: KnowledgeGraph) -> None:
    some = some_triples(grid, "train", 20, seed=3)
    assert torch.equal(some, some_triples(grid, "train", 20, seed=3))
    assert grid.contains(some, "train").all()
    assert len(some.unique(dim=0)) == 20
    with pytest.raises(InputError, match="test split of graph is empty"):
        some_triples(KnowledgeGraph(grid.entities, grid.relations, grid.train), "test", 5, seed=0)
