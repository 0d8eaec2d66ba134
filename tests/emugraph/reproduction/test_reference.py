from __future__ import annotations

from dataclasses import replace

import pytest

from emugraph.models import MODELS
from emugraph.reproduction.cells import METHODS, Cell
from emugraph.reproduction.experiments import DATASETS
from emugraph.reproduction.reference import Published, published, read_reference


def test_the_papers_figures_are_found_by_cell() -> None:
    cell = Cell("fb15k-237", "rotate", "mixup", 100, 0, None)
    assert published(cell) == Published(0.281, 0.454)
    for other in (
        replace(cell, dim=200),
        replace(cell, dataset="wn18rr"),
        replace(cell, method="plain"),
        replace(cell, sampler="bernoulli"),
        replace(cell, changes=(("beta", 0.1),)),
    ):
        assert published(other) is None


def test_all_figures_are_of_something_known_and_between_0_and_1() -> None:
    reference = read_reference()
    tables = reference["paper"]["fb15k-237"]["100"]
    assert len(tables) == 4
    for model, methods in tables.items():
        assert model in MODELS
        assert set(methods) == set(METHODS) - {"plain"}
        assert all(0 < mrr < hits < 1 for mrr, hits in methods.values())
    for other in reference["others"]:
        assert other["dataset"] in DATASETS
        assert 0 < other.get("hits@1", 0.01) < other["mrr"] < other["hits@10"] < 1


@pytest.mark.parametrize(
    ("mrr", "hits", "missed"),
    [(0.332, 0.513, False), (0.3316, 0.5126, False), (0.3314, 0.6, True), (0.4, 0.5124, True)],
)
def test_below_is_judged_at_the_papers_decimals(mrr: float, hits: float, missed: bool) -> None:
    assert Published(0.332, 0.513).is_missed_by(mrr, hits) is missed
