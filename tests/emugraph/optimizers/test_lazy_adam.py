from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from emugraph import InputError, KnowledgeGraph, Settings
from emugraph.kernels import native
from emugraph.optimizers import LazyAdam
from emugraph.training.trainer import Trainer

Steps = list[tuple[Tensor, Tensor]]


@pytest.fixture(params=["kernel", "pytorch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the compiled kernel and by PyTorch."""
    if request.param == "pytorch":
        monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    elif not native.available():
        pytest.skip("no C++ compiler")
    return str(request.param)


def random_steps(count: int, rows: int, width: int, ids: int) -> Steps:
    generator = torch.Generator().manual_seed(count)
    return [
        (torch.randint(rows, (ids,), generator=generator), torch.randn(ids, width, generator=generator))
        for _ in range(count)
    ]


def start(rows: int, width: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, width, generator=torch.Generator().manual_seed(rows)).to(dtype))


def after(
    table: nn.Parameter, steps: Steps, make: Callable[..., torch.optim.Optimizer], sparse: bool = True
) -> torch.optim.Optimizer:
    optimizer = make([table], lr=0.01)
    for ids, gradient in steps:
        optimizer.zero_grad()
        functional.embedding(ids, table, sparse=sparse).backward(gradient.to(table.dtype))
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "width", "ids"), [(1, 1, 1), (12, 40, 30), (500, 17, 60)])
@pytest.mark.usefixtures("path")
def test_equals_sparse_adam(rows: int, width: int, ids: int, dtype: torch.dtype) -> None:
    steps = random_steps(60, rows, width, ids)
    ours, theirs = start(rows, width, dtype), start(rows, width, torch.float64)
    # Without epsilon, which does not stand at the same place.
    optimizer = after(ours, steps, partial(LazyAdam, eps=1e-30))
    reference = after(theirs, steps, partial(torch.optim.SparseAdam, eps=1e-30))
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    assert (ours.double() - theirs).abs().max() <= tolerance * theirs.abs().max()
    for name in ("exp_avg", "exp_avg_sq"):
        actual, expected = optimizer.state[ours][name].double(), reference.state[theirs][name]
        assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.usefixtures("path")
def test_dense_gradients_are_dense_adam() -> None:
    steps = random_steps(40, 20, 9, 200)
    ours, theirs = start(20, 9), start(20, 9, torch.float64)
    after(ours, steps, LazyAdam, sparse=False)
    after(theirs, steps, torch.optim.Adam, sparse=False)
    assert (ours.double() - theirs).abs().max() <= 2e-6 * theirs.abs().max()


@pytest.mark.usefixtures("path")
def test_rows_of_no_step_stay_as_they_are() -> None:
    table = start(100, 8)
    before = table.detach().clone()
    optimizer = after(table, [(ids % 50, gradient) for ids, gradient in random_steps(20, 100, 8, 30)], LazyAdam)
    assert torch.equal(table[50:], before[50:])
    assert not optimizer.state[table]["exp_avg"][50:].any()
    kept = {name: value.clone() for name, value in optimizer.state[table].items()}
    rest = table.detach().clone()
    optimizer.zero_grad()
    functional.embedding(torch.tensor([7]), table, sparse=True).backward(torch.ones(1, 8))
    optimizer.step()
    others = torch.arange(100) != 7
    assert torch.equal(table[others], rest[others])
    assert not torch.equal(table[7], rest[7])
    for name in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(optimizer.state[table][name][others], kept[name][others])


@pytest.mark.usefixtures("path", "threads")
def test_threads_change_nothing() -> None:
    steps = random_steps(10, 3000, 64, 2000)
    tables = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        tables.append(start(3000, 64))
        after(tables[-1], steps, LazyAdam)
    assert torch.equal(tables[0], tables[1])
    assert torch.equal(tables[0], tables[2])


@pytest.mark.usefixtures("path")
def test_goes_on_from_a_loaded_state() -> None:
    steps = random_steps(30, 40, 6, 10)
    whole, cut = start(40, 6), start(40, 6)
    after(whole, steps, LazyAdam)
    first = after(cut, steps[:15], LazyAdam)
    second = LazyAdam([cut], lr=0.01)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for ids, gradient in steps[15:]:
        second.zero_grad()
        functional.embedding(ids, cut, sparse=True).backward(gradient)
        second.step()
    assert torch.equal(whole, cut)


def test_mistakes() -> None:
    with pytest.raises(InputError, match=r"needs contiguous tables \(N, w\)"):
        LazyAdam([nn.Parameter(torch.zeros(3))])
    with pytest.raises(InputError, match="float16"):
        LazyAdam([nn.Parameter(torch.zeros(3, 2, dtype=torch.float16))])


@pytest.mark.usefixtures("path")
def test_it_trains(grid: KnowledgeGraph) -> None:
    settings = Settings(
        model="distmult", dim=16, steps=150, batch_size=20, negatives=10, optimizer="lazy-adam", learning_rate=0.05,
        mixing="none", beta=0.0,
    )  # fmt: skip
    trainer = Trainer(grid, settings, torch.device("cpu"))
    assert isinstance(trainer.optimizer, LazyAdam)
    losses = [trainer.step().item() for _ in range(150)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
