"""Metrics that others published: ``reference.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from emugraph.io import toml
from emugraph.reproduction.cells import Cell

DECIMALS = 3
"""To how many decimals the paper gives its metrics."""


@dataclass(frozen=True)
class Published:
    """The paper's metrics for an entry of a table."""

    mrr: float
    hits_at_10: float

    def is_missed_by(self, mrr: float, hits_at_10: float) -> bool:
        """Whether one of the given metrics, rounded as the paper's are, is below the paper's."""
        return round(mrr, DECIMALS) < self.mrr or round(hits_at_10, DECIMALS) < self.hits_at_10


@cache
def read_reference() -> dict[str, Any]:
    """All of ``reference.toml``."""
    file = resources.files(__package__) / "reference.toml"
    return toml.loads(file.read_text(encoding="utf-8"), str(file))


def published(cell: Cell) -> Published | None:
    """What the paper gives for a cell; None where it gives nothing."""
    if cell.changes or cell.sampler != "uniform":
        return None
    tables = read_reference()["paper"].get(cell.dataset.casefold(), {}).get(str(cell.dim), {})
    metrics = tables.get(cell.model, {}).get(cell.method)
    return None if metrics is None else Published(*metrics)
