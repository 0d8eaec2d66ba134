from __future__ import annotations

import cmath
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from emugraph import InputError
from emugraph.models import MODELS, Model, model_class
from emugraph.types import SIDES


def by_hand(name: str, h: list[float], r: list[float], t: list[float]) -> float:
    """The score of one triple from the formula, with Python's own numbers."""

    def paired(row: list[float]) -> list[complex]:
        half = len(row) // 2
        return [complex(re, im) for re, im in zip(row[:half], row[half:], strict=True)]

    def total(term: Callable[[Any, Any, Any], float], *rows: Sequence[complex]) -> float:
        return sum(term(*parts) for parts in zip(*rows, strict=True))

    formulas: dict[str, Callable[[], float]] = {
        "transe": lambda: -total(lambda a, b, c: abs(a + b - c), h, r, t),
        "transe-l2": lambda: -math.sqrt(total(lambda a, b, c: (a + b - c) ** 2, h, r, t)),
        "distmult": lambda: total(lambda a, b, c: a * b * c, h, r, t),
        "complex": lambda: total(lambda a, b, c: (a * b * c.conjugate()).real, paired(h), paired(r), paired(t)),
        "rotate": lambda: -total(lambda a, b, c: abs(a * cmath.exp(1j * b) - c), paired(h), r, paired(t)),
    }
    return formulas[name]()


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param](11, 3, 5, init_scale=0.7, generator=torch.Generator().manual_seed(3))


def test_every_form_of_the_score_is_the_formula(model: Model) -> None:
    triples = torch.tensor([[0, 0, 1], [4, 2, 4], [10, 1, 3]])
    entity_rows, relation_rows = model.entities.tolist(), model.relations.tolist()
    expected = torch.tensor(
        [by_hand(model.name, entity_rows[h], relation_rows[r], entity_rows[t]) for h, r, t in triples.tolist()]
    )
    assert torch.allclose(model.score_triples(triples), expected, atol=1e-5)
    heads, relations, tails = triples.unbind(dim=1)
    for side, known, asked in (("tail", heads, tails), ("head", tails, heads)):
        query = model.query(model.entities[known], model.relations[relations], side)
        assert torch.allclose(model.score(query, model.entities)[range(3), asked], expected, atol=1e-5)
        phi = model.components(query, model.entities[asked])
        assert phi.shape == (3, model.num_components)
        assert torch.allclose(model.link(phi.sum(-1)), expected, atol=1e-5)


def test_reciprocal_relations_ask_for_heads_as_tails_of_the_inverse(model: Model) -> None:
    reciprocal = MODELS[model.name](11, 3, 5, init_scale=0.7, reciprocal=True)
    assert reciprocal.relations.shape == (6, model.relation_width)
    assert reciprocal.num_relations == 3
    entity_rows, relation_rows = reciprocal.entities.tolist(), reciprocal.relations.tolist()
    known, relations = torch.tensor([4, 0]), torch.tensor([2, 1])
    for side, row in (("tail", [2, 1]), ("head", [5, 4])):
        scores = reciprocal.score(reciprocal.embed_queries(known, relations, side), reciprocal.entities)
        expected = torch.tensor(
            [
                [by_hand(model.name, entity_rows[e], relation_rows[r], answer) for answer in entity_rows]
                for e, r in zip(known.tolist(), row, strict=True)
            ]
        )
        assert torch.allclose(scores, expected, atol=1e-5)


def test_all_pairs_agree_with_each_for_itself(model: Model) -> None:
    for side in SIDES:
        query = model.query(model.entities[:4], model.relations[torch.tensor([0, 1, 2, 0])], side)
        pairs = model.score(query, model.entities)
        assert pairs.shape == (4, 11)
        assert torch.allclose(model.score_each(query, model.entities.expand(4, 11, -1)), pairs, atol=1e-5)
        generic = Model.score(model, query, model.entities)
        assert torch.allclose(generic, pairs, atol=1e-5)


def test_gradients_are_finite_where_query_and_candidate_coincide(model: Model) -> None:
    row = model.entities[:1].detach().clone().requires_grad_()
    model.score_each(row, row.detach()).sum().backward()
    assert row.grad is not None
    assert torch.isfinite(row.grad).all()
    row.grad = None
    model.score(row, row.detach()).sum().backward()
    assert torch.isfinite(row.grad).all()  # type: ignore[arg-type]


def test_dim_counts_complex_numbers() -> None:
    widths = {
        name: (cls(2, 2, 100).entities.shape[1], cls(2, 2, 100).relations.shape[1]) for name, cls in MODELS.items()
    }
    assert widths == {
        "transe": (100, 100), "transe-l2": (100, 100), "distmult": (100, 100),
        "complex": (200, 200), "rotate": (200, 100),
    }  # fmt: skip


def test_start_is_bounded_and_seeded(model: Model) -> None:
    assert 0.5 < model.entities.abs().max() <= 0.7
    again = type(model)(11, 3, 5, init_scale=0.7, generator=torch.Generator().manual_seed(3))
    assert torch.equal(model.entities, again.entities)
    assert torch.equal(model.relations, again.relations)


def test_sparse_gradients_equal_dense_ones(model: Model) -> None:
    ids = torch.tensor([3, 3, 5])
    model.entity_rows(ids).square().sum().backward()
    dense = model.entities.grad
    model.entities.grad, model.sparse_gradients = None, True
    model.entity_rows(ids).square().sum().backward()
    assert model.entities.grad.is_sparse  # type: ignore[union-attr]
    assert torch.allclose(model.entities.grad.to_dense(), dense)  # type: ignore[union-attr, arg-type]


def test_unknown_model_names_the_nearest() -> None:
    assert model_class("TransE") is MODELS["transe"]
    with pytest.raises(InputError, match="unknown model 'distmlt'. Did you mean 'distmult'"):
        model_class("distmlt")


def test_every_model_is_listed() -> None:
    def subclasses(cls: type[Model]) -> set[type[Model]]:
        return {s for c in cls.__subclasses__() if c.__module__.startswith("emugraph.") for s in {c} | subclasses(c)}

    assert {cls for cls in subclasses(Model) if not inspect.isabstract(cls)} == set(MODELS.values())
