"""Fixtures of the reproduction's tests: small cells on the grid, and hand-written results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emugraph import Settings
from emugraph.reproduction.cells import Cell
from emugraph.reproduction.results import Result

SMALL: dict[str, Any] = {"dim": 4, "steps": 4, "valid_every": 2, "batch_size": 16, "negatives": 8}


@pytest.fixture
def small_cell() -> Callable[..., Cell]:
    """Makes a cell of a few steps on a data set called "grid"."""

    def make(model: str = "distmult", method: str = "emu", seed: int = 0, **changes: Any) -> Cell:
        settings = Settings(model=model, seed=seed, **{**SMALL, **changes})
        return Cell("grid", model, method, settings.dim, seed, settings, changes=tuple(changes.items()))

    return make


@pytest.fixture
def result_of() -> Callable[..., Result]:
    """Makes a cell's result out of metrics written by hand."""

    def make(cell: Cell, mrr: float = 0.25, hits: tuple[float, float, float] = (0.1, 0.2, 0.4), **other: Any) -> Result:
        assert cell.settings is not None
        values: dict[str, Any] = {
            "dataset": cell.dataset, "model": cell.model, "sampler": cell.sampler, "method": cell.method,
            "dim": cell.dim, "seed": cell.seed, "steps": cell.settings.steps, "seconds": 60.0, "mrr": mrr,
            "hits@1": hits[0], "hits@3": hits[1], "hits@10": hits[2], "valid_mrr": 0.26, "version": "0.1",
            "machine": "a laptop", "settings": cell.settings.model_dump(mode="json"),
        }  # fmt: skip
        return Result(**{**values, **other})

    return make
