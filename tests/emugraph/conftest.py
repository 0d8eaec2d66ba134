"""What the tests of predictions share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from emugraph import KnowledgeGraph, Vocabulary
from emugraph.models import Model
from emugraph.types import Part


@pytest.fixture
def overlapping() -> Callable[..., KnowledgeGraph]:
    """Makes a random graph whose splits overlap and whose queries have many answers."""

    def make(entities: int = 12, relations: int = 4, count: int = 80) -> KnowledgeGraph:
        generator = torch.Generator().manual_seed(0)

        def some(n: int) -> Tensor:
            columns = [torch.randint(high, (n,), generator=generator) for high in (entities, relations, entities)]
            return torch.stack(columns, dim=1)

        labels = [f"e{i}" for i in range(entities)], [f"r{i}" for i in range(relations)]
        vocabularies = Vocabulary(labels[0], "entity"), Vocabulary(labels[1], "relation")
        return KnowledgeGraph(*vocabularies, some(count), some(20), some(20))

    return make


@pytest.fixture
def model_for() -> Callable[..., Model]:
    """Makes a model of a class, with random weights, for a graph."""

    def make(kg: KnowledgeGraph, cls: type[Model], *, reciprocal: bool = False) -> Model:
        return cls(kg.num_entities, kg.num_relations, 6, reciprocal=reciprocal, init_scale=1.0)

    return make


@pytest.fixture
def score_of() -> Callable[..., float]:
    """The score of one triple as an answer to the query for a part."""

    def score(model: Model, triple: tuple[int, int, int], part: Part) -> float:
        h, r, t = (torch.tensor([i]) for i in triple)
        if part == "head":
            return model.score(model.embed_queries(t, r, "head"), model.entity_rows(h)).item()
        return model.score(model.embed_queries(h, r, "tail"), model.entity_rows(t)).item()

    return score
