"""Where PyTorch makes tensors by default is the user's own affair: everything here is made where it is meant to be.

The default is "meta", where tensors have no numbers: whatever is made there by mistake cannot be computed with.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import emugraph
import emugraph.cli
import emugraph.datasets
from emugraph import KnowledgeGraph, Run
from emugraph.analysis import negative_clouds, negative_similarities
from emugraph.models import MODELS
from emugraph.neighbors import compute
from emugraph.report import collect
from emugraph.sampling.registry import SAMPLERS


@contextmanager
def on_meta() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


SMALL: dict[str, Any] = {
    "dim": 8, "steps": 6, "valid_every": 3, "batch_size": 32, "negatives": 8, "device": "cpu",
}  # fmt: skip


def check_same(kg: KnowledgeGraph, folder: Path, model: str = "distmult", **settings: Any) -> None:
    """Fail unless a run comes to the same weights and metrics with another default."""
    options = {**SMALL, **settings}
    first = emugraph.train(kg, model, output=folder / "first", **options)
    with on_meta():
        second = emugraph.train(kg, model, output=folder / "second", **options)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name
    metrics = [{k: v for k, v in run.metrics.items() if k != "seconds"} for run in (first, second)]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize("kernels", ["on", "off"])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model(
    model: str, kernels: str, grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMUGRAPH_KERNELS", kernels)
    check_same(grid, tmp_path, model)


@pytest.mark.parametrize("sampler", [*sorted(SAMPLERS), "0.5*uniform+0.5*nscaching"])
def test_every_sampler(sampler: str, grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))
    check_same(grid, tmp_path, sampler=sampler, walks=20)


@pytest.mark.parametrize(
    "settings",
    [
        *({"optimizer": name} for name in ("lazy-adam", "adagrad", "row-adagrad")),
        {"mixing": "mixup"},
        {"mask": "bernoulli", "mask_group": 1},
        {"negatives": "all", "loss": "binary-cross-entropy"},
        {"loss": "self-adversarial", "sharing": "per-positive", "filtered": True},
        {"regularization": 0.1, "penalty": "query", "reciprocal": True, "valid_sample": 5},
    ],
    ids=str,
)
def test_settings(settings: dict[str, Any], grid: KnowledgeGraph, tmp_path: Path) -> None:
    check_same(grid, tmp_path, **settings)


def test_tables_in_files(grid: KnowledgeGraph, tmp_path: Path) -> None:
    check_same(grid, tmp_path, map_to=tmp_path / "tables", optimizer="lazy-adam")


def test_a_resumed_run(grid: KnowledgeGraph, tmp_path: Path) -> None:
    whole = emugraph.train(grid, "distmult", output=tmp_path / "whole", **SMALL | {"steps": 12, "schedule": "constant"})
    with on_meta():
        emugraph.train(grid, "distmult", output=tmp_path / "cut", **SMALL | {"schedule": "constant"})
        resumed = emugraph.resume(tmp_path / "cut", steps=12, device="cpu")
    assert resumed.metrics["test"] == whole.metrics["test"]


def asked_of(run: Run) -> dict[str, Any]:
    """What can be asked of a run, as plain values."""
    kg = run.kg
    first, second = kg.entities[0], kg.entities[1]
    frame = run.rankings()
    return {
        "metrics": run.evaluate("test", ties=True),
        "relations": run.evaluate_relations("test"),
        "groups": [frame.by(what) for what in ("relation", "side", "category", "frequency")],
        "answers": run.predict([(first, kg.relations[0], None), (first, None, second)]),
        "new": run.predict_triples(top=5),
        "similar": run.similar(first, k=3),
        "scores": run.score([(first, kg.relations[0], second)]).tolist(),
        "reliability": run.reliability(),
        "classes": run.classify([(second, kg.relations[0], first)], [(first, kg.relations[1], first)]),
        "similarities": negative_similarities(run, positives=5, k=4).summary(),
        "clouds": negative_clouds(run, k=4).measures,
        "report": str(collect([run]).right) + str(collect([run]).wrong),
        "neighbors": compute(kg, hops=2).statistics(),
        "summary": kg.summary(),
    }


def test_whatever_is_asked_of_a_run(run_folder: Path) -> None:
    expected = asked_of(emugraph.load(run_folder, device="cpu"))
    with on_meta():
        assert asked_of(emugraph.load(run_folder, device="cpu")) == expected


def test_graphs_from_triples_and_files(grid: KnowledgeGraph, tmp_path: Path) -> None:
    with on_meta():
        triples = [grid.to_triples(split) for split in ("train", "valid", "test")]
        kg = KnowledgeGraph.from_triples(*triples)
        assert kg.train.device.type == "cpu"
        kg.to_files(tmp_path / "files")
        assert emugraph.load_dataset(tmp_path / "files").to_triples("train") == triples[0]
        assert kg.contains(torch.tensor([[0, 0, 0]], device="cpu"), "train").device.type == "cpu"


def test_dgl_graphs(family: KnowledgeGraph, dgl: ModuleType) -> None:
    with on_meta():
        assert family.graph.device.type == family.homogeneous.device.type == "cpu"
        assert compute(family, hops=2).graph().device.type == "cpu"
    assert family.homogeneous.edata["relation"].tolist() == family.train[:, 1].tolist()


MAKERS = {
    "arange", "as_tensor", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "randperm", "tensor",
    "zeros",
}  # fmt: skip


def test_every_tensor_is_made_on_a_device_that_is_named() -> None:
    unnamed = []
    for package in (emugraph, emugraph.cli, emugraph.datasets):
        for file in Path(package.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                maker = node.func
                of_torch = isinstance(maker.value, ast.Name) and maker.value.id == "torch" and maker.attr in MAKERS
                if of_torch and not any(keyword.arg == "device" for keyword in node.keywords):
                    unnamed.append(f"{file}:{node.lineno}")
    assert not unnamed
