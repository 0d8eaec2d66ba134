"""DGL where it is, and everything else where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import pytest
import torch
from typer.testing import CliRunner

import emugraph
from emugraph import EmugraphError, KnowledgeGraph, _dgl
from emugraph.cli.main import app
from emugraph.neighbors import compute
from emugraph.sampling import SAMPLERS, Uniform

without_dgl = pytest.mark.usefixtures("without_dgl")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@without_dgl
@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda kg: kg.graph, "kg.graph is a DGL graph"),
        (lambda kg: kg.homogeneous, "kg.homogeneous is a DGL graph"),
        (lambda kg: KnowledgeGraph.from_dgl(None), "from_dgl takes a DGL graph"),
        (lambda kg: Uniform(kg)(None, torch.tensor([0])), "a sampler takes edges of a DGL graph"),
        (lambda kg: compute(kg, 1).graph(), "Neighborhood.graph() is a DGL graph"),
        (lambda kg: emugraph.dgl, "emugraph.dgl is DGL itself"),
    ],
)
@pytest.mark.parametrize(
    ("python", "way"),
    [
        ((3, 12, 1), "pip install -c constraints.txt dgl"),
        ((3, 14, 0), "DGL has no release for Python 3.14; use Python 3.10 to 3.12 and pip install dgl"),
    ],
)
def test_what_needs_dgl_says_so(
    use: Callable[[KnowledgeGraph], Any],
    said: str,
    python: tuple[int, int, int],
    way: str,
    grid: KnowledgeGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "version_info", python)
    with pytest.raises(EmugraphError) as raised:
        use(grid)
    assert str(raised.value) == f"{said}, and DGL is not installed: {way}"


@without_dgl
def test_attach_says_so(run_folder: Path) -> None:
    with pytest.raises(EmugraphError, match="attach changes a DGL graph, and DGL is not installed"):
        emugraph.load(run_folder).attach(None)  # type: ignore[arg-type]


def test_a_dgl_that_does_not_import_says_so(tmp_path: Path) -> None:
    (tmp_path / "dgl.py").write_text("raise OSError('libdgl.so: no such file')\n", encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import emugraph, emugraph.info\n"
        "print(emugraph.info.describe()['versions']['dgl build'])\n"
        "try:\n    emugraph.KnowledgeGraph.from_triples([('a', 'r', 'b')]).graph\n"
        "except emugraph.EmugraphError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    build, error = done.stdout.splitlines()
    assert build == error
    assert error.startswith(f"DGL cannot be imported with torch {torch.__version__}: libdgl.so: no such file. Install")


@without_dgl
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_trains_without(sampler: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dim": 8, "steps": 20, "valid_every": 10, "batch_size": 32, "negatives": 16}
    trained = emugraph.train(grid, "distmult", output=tmp_path / "run", sampler=sampler, **options)
    opened = emugraph.load(tmp_path / "run")
    assert opened.evaluate("test")["mrr"] == trained.evaluate("test")["mrr"] > 0
    assert len(opened.predict_tails("0,0", "right", k=3)) == 3
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["versions"]["dgl"] == "not installed"


@without_dgl
def test_graphs_come_and_go_without(tmp_path: Path) -> None:
    kg = emugraph.load_dataset("wn18rr")
    assert kg.summary()["train"] == 86_835
    graph = networkx.MultiDiGraph([("a", "b", {"relation": "r"}), ("b", "c", {"relation": "s"})])
    there = KnowledgeGraph.from_networkx(graph)
    assert sorted(there.to_networkx().edges(data="relation")) == [("a", "b", "r"), ("b", "c", "s")]


@without_dgl
def test_the_command_line_without(tmp_path: Path, grid: KnowledgeGraph) -> None:
    grid.to_files(tmp_path / "grid")
    info = json.loads(run("info", "--json"))
    assert (info["versions"]["dgl"], info["versions"]["dgl build"]) == ("not installed", "none")
    for walks, entities in (("0", 60), ("9", 60)):
        arguments = ["precompute", str(tmp_path / "grid"), "--hops", "2", "--walks", walks, "--json"]
        assert json.loads(run("neighbors", *arguments))["entities"] == entities
    assert "0,1" in run("neighbors", "show", str(tmp_path / "grid"), "0,0", "--hops", "1")
    run("train", str(tmp_path / "grid"), "--model", "transe", "--steps", "5", "-o", str(tmp_path / "run"))
    assert json.loads(run("evaluate", str(tmp_path / "run"), "--json"))


def test_import_star_without(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['dgl'] = None\n"
        "from emugraph import *\n"
        "import emugraph; print('dgl' in emugraph.__all__, 'dgl' in dir(emugraph), KnowledgeGraph.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False False KnowledgeGraph\n", done.stderr


def test_dgl_is_a_public_name_where_it_is(dgl: Any) -> None:
    assert "dgl" in emugraph.__all__
    assert emugraph.dgl is _dgl.dgl is dgl
