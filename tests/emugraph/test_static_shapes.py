"""A step for a GPU asks nothing of it that the host would have to wait for, shown on a CPU by the operators it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from emugraph import KnowledgeGraph, Settings
from emugraph.models import MODELS
from emugraph.neighbors import Neighborhood
from emugraph.sampling import SAMPLERS
from emugraph.training.trainer import Trainer

WAITING = {
    "_coalesce", "_local_scalar_dense", "_unique", "_unique2", "allclose", "bincount", "equal", "is_nonzero",
    "lift_fresh", "masked_select", "nonzero", "nonzero_numpy", "unique_consecutive", "unique_dim",
}  # fmt: skip
"""Operators whose result has a shape that depends on numbers, or is read on the host, or comes from it."""

READING = {Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.cpu, Tensor.cuda, Tensor.pin_memory, torch.from_numpy}


class WaitedError(Exception):
    """An operator would have the host wait for a GPU."""


class NoReading(TorchFunctionMode):
    """Refuses methods that read a tensor on the host or move it, which on a CPU call no operator."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        values = [*args[1:], *(kwargs or {}).values()]
        moved = function is Tensor.to and any(isinstance(value, torch.device | str | Tensor) for value in values)
        if function in READING or moved:
            raise WaitedError(function.__name__)
        return function(*args, **(kwargs or {}))


class NoOperators(TorchDispatchMode):
    """Refuses operators for which the host would wait."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        counted = name == "repeat_interleave" and isinstance(args[-1], Tensor) and "output_size" not in (kwargs or {})
        if name in WAITING or by_mask or counted:
            raise WaitedError(str(function))
        return function(*args, **(kwargs or {}))


@contextmanager
def no_waiting() -> Iterator[None]:
    with NoReading(), NoOperators():
        yield


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emugraph.static_shapes.everywhere", True)
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))


def trainer_of(kg: KnowledgeGraph, **changes: Any) -> Trainer:
    values = {"dim": 4, "batch_size": 8, "negatives": 6, "hops": 1, "walks": 5, "cache_size": 4, "cache_candidates": 3}
    return Trainer(kg, Settings.create(values | changes), torch.device("cpu"))


def step_on(trainer: Trainer) -> None:
    """Steps of both sides, after two that make what is made once. The epoch does not end: its shuffle is the host's."""
    for _ in range(2):
        trainer.step()
    with no_waiting():
        for _ in range(4):
            trainer.step()


@pytest.mark.parametrize("negatives", [6, 12])  # fewer in a batch than there are entities, and more
@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "adagrad", "row-adagrad"])
@pytest.mark.parametrize("sampler", [*SAMPLERS, "0.5*khop+0.5*nscaching"])
@pytest.mark.parametrize("model", MODELS)
def test_no_step_waits(model: str, sampler: str, optimizer: str, negatives: int, grid: KnowledgeGraph) -> None:
    step_on(trainer_of(grid, model=model, sampler=sampler, optimizer=optimizer, negatives=negatives))


@pytest.mark.parametrize(
    "changes",
    [
        {"sharing": "per-positive"},
        {"filtered": True},
        {"filtered": True, "sampler": "in-batch"},
        {"filtered": True, "sampler": "nscaching", "cache_update": "top"},
        {"negatives": "all"},
        {"sides": "by-relation", "reciprocal": True},
        {"mixing": "mixup"},
        {"mixing": "mixup", "sharing": "per-positive", "model": "transe"},
        {"mixing": "none", "beta": 0.0, "loss": "self-adversarial"},
        {"loss": "margin-ranking", "mask": "bernoulli"},
        {"loss": "binary-cross-entropy", "labels": "smoothed"},
        {"labels": "smoothed", "regularization": 0.1},
        {"regularization": 0.1, "penalty": "query", "regularization_power": 2.0},
    ],
    ids=str,
)
def test_no_setting_makes_a_step_wait(changes: dict[str, Any], grid: KnowledgeGraph) -> None:
    step_on(trainer_of(grid, **{"model": "distmult"} | changes))


def test_an_entity_without_neighbours_waits_no_more(grid: KnowledgeGraph) -> None:
    """Places that lie nowhere on the grid, of which the sampler is asked too."""
    trainer = trainer_of(grid, sampler="khop")
    starts, candidates = trainer.sampler.near.starts.clone(), trainer.sampler.near.candidates  # type: ignore[attr-defined]
    starts[1:4] = starts[1].clone()
    trainer.sampler.near = Neighborhood(starts, candidates, hops=1)  # type: ignore[attr-defined]
    assert not trainer.sampler.near.complete  # type: ignore[attr-defined]
    step_on(trainer)


def test_every_hundred_steps_the_loss_is_looked_at(grid: KnowledgeGraph) -> None:
    trainer = trainer_of(grid)
    step_on(trainer)
    trainer.step_count = 100
    with no_waiting(), pytest.raises(WaitedError, match="_local_scalar_dense"):
        trainer.step()


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.max().item(),
        lambda x: x.tolist(),
        lambda x: x.to("cpu"),
        lambda x: x.cpu(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: torch.masked_select(x, x > 0),
        lambda x: x.repeat_interleave(x),
        lambda x: torch.repeat_interleave(x),
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: torch.sparse_coo_tensor(x[None], x, check_invariants=False).coalesce(),
    ],
)
def test_what_waits_is_seen(wait: Callable[[Tensor], object]) -> None:
    with no_waiting(), pytest.raises(WaitedError):
        wait(torch.ones(3, dtype=torch.int64))


@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "adagrad", "row-adagrad"])
@pytest.mark.parametrize("negatives", [2, 12])
def test_fixed_shapes_train_alike(
    negatives: int, optimizer: str, grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With RotatE no gradient is 0 but for rounding, which makes a first step of full length in Adam and Adagrad.
    changes = {"model": "rotate", "sharing": "per-positive", "optimizer": optimizer, "negatives": negatives}
    trained = []
    for everywhere in (True, False):
        monkeypatch.setattr("emugraph.static_shapes.everywhere", everywhere)
        trainer = trainer_of(grid, **changes)
        for _ in range(30):
            trainer.step()
        trained.append(trainer)
    fixed, fewest = trained
    for one, other in zip(fixed.model.parameters(), fewest.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
