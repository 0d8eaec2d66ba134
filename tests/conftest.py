"""Fixtures that all tests share. No test sees the user's own caches, cards or runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import emugraph

torch.set_num_threads(1)  # the tensors of the tests are too small to share out


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CARDS", str(tmp_path_factory.mktemp("cards")))


@pytest.fixture
def family() -> emugraph.KnowledgeGraph:
    """Five people, two relations; small enough to work figures out by hand."""
    return emugraph.KnowledgeGraph.from_triples(
        train=[
            ("ann", "parent", "bob"),
            ("ann", "parent", "cat"),
            ("bob", "parent", "dan"),
            ("bob", "sibling", "cat"),
            ("cat", "sibling", "bob"),
        ],
        valid=[("cat", "parent", "dan")],
        test=[("dan", "sibling", "eve"), ("ann", "parent", "bob")],
        name="family",
    )


@pytest.fixture
def grid() -> emugraph.KnowledgeGraph:
    """Sixty places on a grid, relations "right" and "down": a graph that every model can fit."""
    width, height = 10, 6
    triples = [(f"{x},{y}", "right", f"{x + 1},{y}") for x in range(width - 1) for y in range(height)]
    triples += [(f"{x},{y}", "down", f"{x},{y + 1}") for x in range(width) for y in range(height - 1)]
    order = torch.randperm(len(triples), generator=torch.Generator().manual_seed(0)).tolist()
    shuffled = [triples[i] for i in order]
    return emugraph.KnowledgeGraph.from_triples(shuffled[:84], shuffled[84:94], shuffled[94:], name="grid")


@pytest.fixture
def run_folder(tmp_path: Path, grid: emugraph.KnowledgeGraph) -> Path:
    """A small finished run."""
    path = tmp_path / "run"
    emugraph.train(grid, "distmult", output=path, dim=8, steps=20, valid_every=10, batch_size=32, negatives=16)
    return path
