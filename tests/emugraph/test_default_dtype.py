"""What PyTorch makes floating-point numbers of by default is the user's own affair: everything here is float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

import emugraph
from emugraph import KnowledgeGraph, Run, losses
from emugraph.embeddings.table import attach
from emugraph.io.mapped_memory import MappedMemory, Memory
from emugraph.models import MODELS, DistMult
from emugraph.mutation import draw_masks, draw_mixup_weights
from emugraph.prediction.top_k import Predictor
from emugraph.sampling.base import head_probability


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


BOTH = (torch.float32, torch.float64)
SMALL: dict[str, Any] = {"dim": 8, "steps": 4, "valid_every": 2, "batch_size": 32, "negatives": 8}


def trained(kg: KnowledgeGraph, folder: Path, dtype: torch.dtype, **settings: Any) -> Run:
    """A run trained with one default, and opened with the usual one."""
    with default(dtype):
        emugraph.train(kg, output=folder / str(dtype), **{**SMALL, **settings})
    return emugraph.load(folder / str(dtype))


def check_same(kg: KnowledgeGraph, folder: Path, **settings: Any) -> None:
    """Fail unless weights and figures are the same with either default."""
    first, second = (trained(kg, folder, dtype, **settings) for dtype in BOTH)
    weights = second.model.state_dict()
    for name, tensor in first.model.state_dict().items():
        assert weights[name].dtype == torch.float32
        assert torch.equal(weights[name], tensor), name
    figures = [{k: v for k, v in run.metrics.items() if k != "seconds"} for run in (first, second)]
    assert figures[0] == figures[1]
    with default(torch.float64):  # reopened with the other default
        assert emugraph.load(second.path).evaluate("test") == second.metrics["test"]


@pytest.mark.parametrize("kernels", ["on", "off"])
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_trains_to_the_same(
    model: str, kernels: str, grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMUGRAPH_KERNELS", kernels)
    check_same(grid, tmp_path, model=model)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "lazy-adam"},
        {"optimizer": "adagrad"},
        {"optimizer": "row-adagrad"},
        {"sampler": "bernoulli"},
        {"sampler": "nscaching"},
        {"sharing": "per-positive"},
        {"mask": "bernoulli"},
        {"mixing": "mixup"},
        {"loss": "self-adversarial"},
        {"loss": "margin-ranking"},
        {"loss": "binary-cross-entropy"},
        {"regularization": 0.1, "negatives": "all"},
    ],
    ids=str,
)
def test_every_setting_trains_to_the_same(settings: dict[str, Any], grid: KnowledgeGraph, tmp_path: Path) -> None:
    check_same(grid, tmp_path, **settings)


@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "adagrad", "row-adagrad"])
@pytest.mark.parametrize("kernels", ["on", "off"])
def test_a_run_goes_on_with_the_other_default(
    optimizer: str, kernels: str, grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMUGRAPH_KERNELS", kernels)
    weights = []
    for before, after in (BOTH, BOTH[::-1], (BOTH[0], BOTH[0])):
        (tmp_path / str(len(weights))).mkdir()
        run = trained(grid, tmp_path / str(len(weights)), before, optimizer=optimizer)
        with default(after):
            weights.append(run.resume(steps=8).model.entities.detach())
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[1], weights[2])


def test_parts_make_float32_whatever_the_default(family: KnowledgeGraph, tmp_path: Path) -> None:
    def parts() -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        model = DistMult(5, 2, 4, generator=generator)
        predictor = Predictor(model, family)
        empty = predictor.answer(torch.empty(0, 3, dtype=torch.int64), "tail", 2)
        return [
            *model.parameters(),
            Memory().empty(2, 3).zero_(),
            MappedMemory(tmp_path).empty(2, 3),
            MappedMemory(tmp_path).empty(0, 3),
            draw_mixup_weights(5, generator),
            head_probability(family),
            empty.scores,
            empty.shares,
            predictor.answer(family.test, "tail", 2).shares,
        ]

    with default(torch.float64):
        actual = parts()
    for one, other in zip(actual, parts(), strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_masks_are_the_same_whatever_the_default() -> None:
    masks = []
    for dtype in BOTH:
        with default(dtype):
            generator = torch.Generator().manual_seed(0)
            masks.append([draw_masks(7, 12, 0.4, generator, kind=kind) for kind in ("exact", "bernoulli")])  # type: ignore[arg-type]
    assert all(map(torch.equal, *masks))


@pytest.mark.parametrize("kernels", ["on", "off"])
def test_losses_are_the_same_whatever_the_default(kernels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_KERNELS", kernels)
    positive = torch.randn(4, generator=torch.Generator().manual_seed(0))
    negatives = torch.linspace(-2, 2, 12).view(4, 3)
    values = []
    for dtype in BOTH:
        with default(dtype):
            values.append([
                losses.cross_entropy(positive, negatives),
                losses.label_smoothing(positive, negatives, 0.3),
                losses.unbounded_label_smoothing(positive, negatives, 0.3),
                losses.emu_objective(positive, negatives, negatives, beta=0.3, alpha=0.2),
                losses.self_adversarial(positive, negatives, margin=1.0, temperature=0.5, beta=0.1),
                losses.margin_ranking(positive, negatives, margin=1.0, beta=0.1),
                losses.binary_cross_entropy(positive, negatives, margin=1.0, beta=0.1),
                losses.power_penalty(negatives, 3.0),
            ])  # fmt: skip
    assert values[0] == values[1]
    assert {value.dtype for value in values[1]} == {torch.float32}


def test_nodes_have_float32_embeddings(family: KnowledgeGraph, dgl: ModuleType) -> None:
    rows = DistMult(5, 2, 4).entities.detach().float()
    with default(torch.float64):
        graph = attach(rows, family, dgl.graph(([0], [1]), num_nodes=3), [0, None, 4], "embedding", None)
    assert graph.ndata["embedding"].dtype == torch.float32
