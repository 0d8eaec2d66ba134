from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from emugraph import KnowledgeGraph, Vocabulary
from emugraph.sampling.filtering import TripleFilter
from emugraph.types import SIDES, Side


def graph_of(triples: list[tuple[int, int, int]], size: int) -> KnowledgeGraph:
    entities = Vocabulary([f"e{i}" for i in range(size)], "entity")
    ids = torch.tensor(triples, dtype=torch.int64).reshape(-1, 3)
    return KnowledgeGraph(entities, Vocabulary(["r", "s"], "relation"), ids)


def corrupted(triple: list[int], side: Side, entity: int) -> tuple[int, int, int]:
    head, relation, tail = triple
    return (head, relation, entity) if side == "tail" else (entity, relation, tail)


drawn_graphs = st.integers(2, 7).flatmap(
    lambda size: st.tuples(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 1), st.integers(0, size - 1)), max_size=40),
        st.just(size),
    )
)


@settings(deadline=None, max_examples=60)
@given(drawn_graphs, st.sampled_from(SIDES))
def test_recognised_as_in_a_set(drawn: tuple[list[tuple[int, int, int]], int], side: Side) -> None:
    kg = graph_of(*drawn)
    asked = torch.cartesian_prod(torch.arange(kg.num_entities), torch.arange(2), torch.arange(kg.num_entities))
    entities = torch.arange(kg.num_entities).expand(len(asked), -1)
    actual = TripleFilter(kg).contain(entities, asked, side)
    known = set(drawn[0])
    for triple, row in zip(asked.tolist(), actual.tolist(), strict=True):
        assert row == [corrupted(triple, side, entity) in known for entity in range(kg.num_entities)]


@settings(deadline=None, max_examples=60)
@given(drawn_graphs, st.sampled_from(SIDES))
def test_none_stays_unless_all_are_known(drawn: tuple[list[tuple[int, int, int]], int], side: Side) -> None:
    """With redraws that only give what is known, everything depends on the last resort."""
    kg = graph_of(*drawn)
    known, size = set(drawn[0]), kg.num_entities
    if not known:
        return
    triples = kg.train
    own = triples[:, 2 if side == "tail" else 0]
    negatives = own.unsqueeze(1).repeat(1, 3)
    index, generator = TripleFilter(kg), torch.Generator().manual_seed(0)
    chosen = index.choose(negatives.unsqueeze(2).repeat(1, 1, 4), triples, side, generator)
    for actual in (chosen, index.replace(negatives, triples, side, lambda rows: own[rows], generator)):
        for triple, row in zip(triples.tolist(), actual.tolist(), strict=True):
            others = [entity for entity in range(size) if corrupted(triple, side, entity) not in known]
            assert all(entity in others for entity in row) or not others
            assert all(0 <= entity < size for entity in row)


@pytest.mark.parametrize("side", SIDES)
def test_every_unknown_entity_is_as_likely(star: KnowledgeGraph, side: Side) -> None:
    triples = torch.tensor([[0, 0, 1]]).expand(30_000, 3)
    drawn = TripleFilter(star).draw_unknown(triples, side, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=8)
    known = [1, 2, 3] if side == "tail" else [0, 4]
    assert counts[known].tolist() == [0] * len(known)
    others = [i for i in range(8) if i not in known]
    assert chisquare(counts[others].numpy()).pvalue > 0.01


def test_another_draw_comes_first(star: KnowledgeGraph) -> None:
    asked: list[list[int]] = []

    def redraw(rows: torch.Tensor) -> torch.Tensor:
        asked.append(rows.tolist())
        return torch.full_like(rows, 7 if len(asked) == 2 else 2)

    negatives = torch.tensor([[5, 1], [6, 6]])
    actual = TripleFilter(star).replace(negatives, torch.tensor([[0, 0, 1], [4, 0, 1]]), "tail", redraw, None)
    assert asked == [[0], [0]]
    assert actual.tolist() == [[5, 7], [6, 6]]


def test_the_first_of_the_redraws_that_is_unknown(star: KnowledgeGraph) -> None:
    drawn = torch.tensor([[[5, 1, 2], [1, 7, 6]], [[6, 0, 1], [1, 1, 0]]])
    actual = TripleFilter(star).choose(drawn, torch.tensor([[0, 0, 1], [4, 0, 1]]), "tail", None)
    assert actual.tolist() == [[5, 7], [6, 0]]
