"""Fixtures that all tests share. No test sees the user's own caches, cards or runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import settings

import emugraph
from emugraph import _dgl, kernels

settings.register_profile("untimed", deadline=None)  # how long a test takes says nothing on a busy machine
settings.load_profile("untimed")
torch.set_num_threads(1)  # the tensors of the tests are too small to share out


@pytest.fixture(scope="session", autouse=True)
def _kernels() -> None:
    """Compiled before the first test, and not within one that looks at what is said."""
    kernels.prepare()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CARDS", str(tmp_path_factory.mktemp("cards")))


@pytest.fixture
def dgl() -> ModuleType:
    """DGL, for tests that need it: where it is not installed, they skip and say so."""
    if not _dgl.installed():
        pytest.skip("DGL is not installed")
    return _dgl.load("a test needs it")


@pytest.fixture
def without_dgl(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without DGL, whether it is there or not."""
    monkeypatch.setitem(sys.modules, "dgl", None)
    version = metadata.version

    def version_of(name: str) -> str:
        if name == "dgl":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", version_of)


@pytest.fixture
def _signals() -> Iterator[None]:
    """Ctrl-C as it is in a terminal; in the background of a shell script it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
