from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emugraph import KnowledgeGraph, Vocabulary


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbourhoods of the tests go into a cache of their own."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, params=[False, True], ids=["fewest", "fixed"])
def fixed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every test runs with the shapes of a CPU and with those of a GPU."""
    monkeypatch.setattr("emugraph.static_shapes.everywhere", request.param)
    return bool(request.param)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def star() -> KnowledgeGraph:
    """Eight entities: 0 leads to 1, 2 and 3 by relation 0 and to 1 by relation 1; 4 leads to 1; 5 and 6 are a pair by
    relation 1; 7 is alone."""
    triples = [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 1), (4, 0, 1), (5, 1, 6)]
    entities = Vocabulary([str(i) for i in range(8)], "entity")
    return KnowledgeGraph(entities, Vocabulary(["r", "s"], "relation"), torch.tensor(triples), name="star")
