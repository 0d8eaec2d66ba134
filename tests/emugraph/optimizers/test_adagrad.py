"""Adagrad against PyTorch's dense one, and its row-wise form against a few plain lines, both in float64."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from emugraph import InputError, KnowledgeGraph, Settings
from emugraph.kernels import native
from emugraph.optimizers import Adagrad, RowAdagrad
from emugraph.training.trainer import Trainer

EVERY_EXAMPLE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
both = pytest.mark.parametrize("kind", [Adagrad, RowAdagrad])
TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-13}  # as a share of the largest number


@pytest.fixture(params=["native", "pytorch", "float64"])
def dtype(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Each test that asks for it runs with the compiled kernel, with PyTorch alone, and in float64."""
    monkeypatch.delenv("EMUGRAPH_KERNELS", raising=False)
    if request.param == "pytorch":
        monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    elif request.param == "native" and not native.available():
        pytest.skip("no C++ compiler")
    return torch.float64 if request.param == "float64" else torch.float32


@dataclass
class Step:
    """What happens in a step. The gradients do not depend on the table, so that rounding cannot build up by them."""

    rate: float
    ids: Tensor  # any shape
    gradient: Tensor  # (*ids.shape, w)
    kind: str = "sparse"  # or "dense": the same gradient, zeros for the other rows; or "none": there is none

    def dense(self, table: Tensor) -> Tensor:
        gradient = self.gradient.reshape(-1, table.shape[1]).to(table)
        return torch.zeros_like(table).index_add_(0, self.ids.flatten().to(table.device), gradient)


@dataclass
class Run:
    """A table under an optimizer, step by step."""

    start: Tensor  # (N, w)
    kind: type[Adagrad]
    table: nn.Parameter = field(init=False)
    optimizer: Adagrad = field(init=False)

    def __post_init__(self) -> None:
        self.table = nn.Parameter(self.start.clone())
        self.optimizer = self.kind([self.table])

    def step(self, step: Step) -> None:
        self.optimizer.zero_grad()
        if step.kind == "sparse":
            rows = functional.embedding(step.ids.to(self.table.device), self.table, sparse=True)
            rows.backward(step.gradient.to(rows))
        elif step.kind == "dense":
            self.table.grad = step.dense(self.table)
        self.optimizer.param_groups[0]["lr"] = step.rate
        self.optimizer.step()

    @property
    def sum(self) -> Tensor:
        return self.optimizer.state[self.table]["sum"]


def pytorchs(start: Tensor, steps: list[Step]) -> tuple[Tensor, Tensor]:
    """The table and the sums (N, w) that PyTorch's Adagrad comes to, in float64."""
    table = nn.Parameter(start.double())
    optimizer = torch.optim.Adagrad([table], foreach=False)
    for step in steps:
        table.grad = None if step.kind == "none" else step.dense(table)
        optimizer.param_groups[0]["lr"] = step.rate
        optimizer.step()
    return table.detach(), optimizer.state[table]["sum"]


def row_by_row(start: Tensor, steps: list[Step]) -> tuple[Tensor, Tensor]:
    """The table and the sums (N,) that row-wise Adagrad comes to, in float64."""
    table, sums = start.double(), torch.zeros(len(start), dtype=torch.float64)
    for step in steps:
        if step.kind == "none":
            continue
        for row, gradient in enumerate(step.dense(table)):
            sums[row] += (gradient**2).sum() / len(gradient)
            table[row] -= step.rate * gradient / (sums[row] ** 0.5 + 1e-10)
    return table, sums


REFERENCES = {Adagrad: pytorchs, RowAdagrad: row_by_row}


def random_steps(count: int, rows: int, width: int, ids: int, seed: int = 0) -> list[Step]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Step(
            rate=10 ** -(1 + 2 * torch.rand((), generator=generator).item()),
            ids=torch.randint(rows, (ids,), generator=generator),
            gradient=torch.randn(ids, width, generator=generator),
        )
        for _ in range(count)
    ]


def start(rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(rows))


def after(steps: list[Step], run: Run) -> Run:
    for step in steps:
        run.step(step)
    return run


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    scale = expected.abs().max().item()
    torch.testing.assert_close(actual.detach().to(expected), expected, rtol=0, atol=tolerance * scale)


def assert_identical(run: Run, other: Run) -> None:
    assert torch.equal(run.table, other.table)
    assert torch.equal(run.sum, other.sum)
    assert torch.equal(run.optimizer.state[run.table]["step"], other.optimizer.state[other.table]["step"])


def summable(*shape: int, generator: torch.Generator) -> Tensor:
    """Random numbers, normal up to a multiple of 2^-10, which float32 adds up without rounding in whatever order.

    Gradients of one row that nearly cancel leave a sum that is wrong in all its digits where float32 rounds it, and the
    step divides by its size: what is far off then is any sum in float32 (PyTorch's own Adagrad there too), not a step.
    """
    return (2**10 * torch.randn(*shape, generator=generator)).round() / 2**10


@st.composite
def histories(draw: st.DrawFn) -> tuple[Tensor, list[Step]]:
    rows, width = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    steps = []
    for _ in range(draw(st.integers(1, 20))):
        shape = draw(st.sampled_from([(0,), (1,), (2,), (9,), (2, 3), (1, 2, 2)]))
        ids = torch.randint(draw(st.integers(0, rows - 1)), rows, shape, generator=generator)
        scale = draw(st.sampled_from([0.0, 2.0**-30, 2.0**-13, 1.0, 2.0**10]))
        rate = draw(st.sampled_from([0.0, 1e-4, 1e-2, 0.3]))
        kind = draw(st.sampled_from(["sparse"] * 6 + ["dense", "none"]))
        steps.append(Step(rate, ids, scale * summable(*shape, width, generator=generator), kind))
    return start(rows, width), steps


@both
@EVERY_EXAMPLE
@given(history=histories())
def test_equals_the_reference(kind: type[Adagrad], dtype: torch.dtype, history: tuple[Tensor, list[Step]]) -> None:
    table, steps = history
    run = after(steps, Run(table.to(dtype), kind))
    expected, sums = REFERENCES[kind](table, steps)
    assert_close(run.table, expected, TOLERANCES[dtype])
    if run.optimizer.state:
        assert run.sum.shape == sums.shape
        assert_close(run.sum, sums, TOLERANCES[dtype])


@both
def test_hundreds_of_steps(kind: type[Adagrad], dtype: torch.dtype) -> None:
    steps = random_steps(300, rows=40, width=24, ids=30)
    run = after(steps, Run(start(40, 24).to(dtype), kind))
    expected, sums = REFERENCES[kind](start(40, 24), steps)
    assert_close(run.table, expected, TOLERANCES[dtype])
    assert_close(run.sum, sums, TOLERANCES[dtype])


@both
@pytest.mark.usefixtures("_compiled")
def test_the_kernel_does_what_pytorch_does(kind: type[Adagrad], monkeypatch: pytest.MonkeyPatch) -> None:
    steps = random_steps(50, rows=60, width=33, ids=90)
    compiled = after(steps, Run(start(60, 33), kind))
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    plain = after(steps, Run(start(60, 33), kind))
    assert_close(compiled.table, plain.table.detach(), 1e-6)
    assert_close(compiled.sum, plain.sum, 1e-6)


def test_by_hand(dtype: torch.dtype) -> None:
    """A row named twice: its gradients come to (3, 4), and then to (0, 12)."""
    ids, halves = torch.tensor([1, 1]), torch.tensor([[1.0, 5.0], [2.0, -1.0]])
    steps = [Step(0.1, ids, halves), Step(0.1, ids, torch.tensor([[0.0, 6.0], [0.0, 6.0]]))]
    by_number = after(steps, Run(torch.ones(2, 2, dtype=dtype), Adagrad))
    assert by_number.sum.tolist() == [[0, 0], [9, 160]]
    expected = torch.tensor([[1, 1], [1 - 0.1, 1 - 0.1 - 0.1 * 12 / 160**0.5]], dtype=dtype)
    torch.testing.assert_close(by_number.table.detach(), expected)
    by_row = after(steps, Run(torch.ones(2, 2, dtype=dtype), RowAdagrad))
    assert by_row.sum.tolist() == [0, 84.5]  # 25 / 2 + 144 / 2
    first, second = 0.1 / 12.5**0.5, 0.1 / 84.5**0.5
    expected = torch.tensor([[1, 1], [1 - 3 * first, 1 - 4 * first - 12 * second]], dtype=dtype)
    torch.testing.assert_close(by_row.table.detach(), expected)
    assert by_row.optimizer.state[by_row.table]["step"].item() == 2


@both
def test_other_rows_stay_as_they_are(kind: type[Adagrad], dtype: torch.dtype) -> None:
    before = start(60, 20).to(dtype)
    run = after(random_steps(20, rows=30, width=20, ids=50), Run(before, kind))
    assert torch.equal(run.table[30:], before[30:])
    assert not run.sum[30:].any()
    assert not torch.equal(run.table[:30], before[:30])


@both
@pytest.mark.usefixtures("_compiled", "threads")
def test_the_number_of_threads_changes_nothing(kind: type[Adagrad]) -> None:
    runs = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        runs.append(after(random_steps(30, rows=500, width=72, ids=800), Run(start(500, 72), kind)))
    assert_identical(runs[1], runs[0])
    assert_identical(runs[2], runs[0])


@both
def test_a_state_continues_as_if_nothing_had_been(kind: type[Adagrad], dtype: torch.dtype) -> None:
    steps = random_steps(40, rows=30, width=8, ids=9)
    run = after(steps[:20], Run(start(30, 8).to(dtype), kind))
    other = after(steps[30:], Run(run.table.detach(), kind))
    with torch.no_grad():
        other.table.copy_(run.table)
    other.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))
    assert_identical(after(steps[20:], other), after(steps[20:], run))


@both
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_copy_continues_alike(kind: type[Adagrad], copied: object, dtype: torch.dtype) -> None:
    steps = random_steps(40, rows=30, width=8, ids=9)
    run = after(steps[:20], Run(start(30, 8).to(dtype), kind))
    twin = copied(run)  # type: ignore[operator]
    assert_identical(after(steps[20:], twin), after(steps[20:], run))


def test_a_state_is_exchanged_with_pytorch(dtype: torch.dtype) -> None:
    steps = random_steps(30, rows=30, width=8, ids=9)
    run = after(steps[:10], Run(start(30, 8).to(dtype), Adagrad))
    table = nn.Parameter(run.table.detach().clone())
    reference = torch.optim.Adagrad([table], foreach=False)
    reference.load_state_dict(reference.state_dict() | {"state": run.optimizer.state_dict()["state"]})
    for step in steps[10:20]:
        table.grad = step.dense(table)
        reference.param_groups[0]["lr"] = step.rate
        reference.step()
    back = Run(table.detach(), Adagrad)
    back.optimizer.load_state_dict(reference.state_dict())
    after(steps[20:], back)
    assert back.optimizer.state[back.table]["step"].item() == 30
    assert_close(back.table, pytorchs(start(30, 8), steps)[0], TOLERANCES[dtype])


@both
def test_groups_and_closure(kind: type[Adagrad], dtype: torch.dtype) -> None:
    slow, fast = (nn.Parameter(torch.zeros(2, 3, dtype=dtype)) for _ in range(2))
    optimizer = kind([{"params": [slow]}, {"params": [fast], "lr": 1.0}], lr=0.1)

    def closure() -> float:
        loss = slow[0].sum() - fast[1].sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 0
    torch.testing.assert_close(slow.detach(), torch.tensor([[-0.1] * 3, [0.0] * 3], dtype=dtype))
    torch.testing.assert_close(fast.detach(), torch.tensor([[0.0] * 3, [1.0] * 3], dtype=dtype))


@both
def test_ids_outside_the_table_are_refused_and_nothing_changes(kind: type[Adagrad]) -> None:
    run = after(random_steps(3, rows=5, width=4, ids=2), Run(start(5, 4), kind))
    before = copy.deepcopy(run)
    for wrong in (5, -1):
        ids = torch.tensor([[0, 1, 2, 3, 4, wrong]])
        run.table.grad = torch.sparse_coo_tensor(ids, torch.ones(6, 4), (5, 4), check_invariants=False)
        with pytest.raises(IndexError):
            run.optimizer.step()
        assert_identical(run, before)


@both
def test_refuses_sparse_gradients_of_single_numbers(kind: type[Adagrad]) -> None:
    run = Run(torch.zeros(3, 2), kind)
    run.table.grad = torch.ones(3, 2).to_sparse()
    with pytest.raises(InputError, match=r"must hold whole rows, got single numbers of \(3, 2\)"):
        run.optimizer.step()


@both
@pytest.mark.parametrize(
    "table", [torch.zeros(3), torch.zeros(3, 2, dtype=torch.float16), torch.zeros(2, 3).T, torch.zeros(3, 2, 2)]
)
def test_refuses_what_is_no_table(kind: type[Adagrad], table: Tensor) -> None:
    with pytest.raises(InputError, match=rf"{kind.__name__} needs contiguous tables \(N, w\) of float32 or float64"):
        kind([nn.Parameter(table)])


@both
@pytest.mark.parametrize(("lr", "eps"), [(-0.1, 1e-10), (float("nan"), 1e-10), (0.1, 0.0)])
def test_refuses_numbers_out_of_range(kind: type[Adagrad], lr: float, eps: float) -> None:
    with pytest.raises(InputError, match="needs lr of 0 or more and eps above 0"):
        kind([nn.Parameter(torch.zeros(3, 2))], lr=lr, eps=eps)


@both
def test_refuses_the_state_of_the_other(kind: type[Adagrad]) -> None:
    other = Adagrad if kind is RowAdagrad else RowAdagrad
    state = after(random_steps(3, rows=5, width=4, ids=2), Run(start(5, 4), other)).optimizer.state_dict()
    with pytest.raises(InputError, match=rf"the state's sum is \(5.*; take one of {kind.__name__}"):
        Run(start(5, 4), kind).optimizer.load_state_dict(state)


def trained(kg: KnowledgeGraph, optimizer: str, device: str = "cpu") -> Trainer:
    # With RotatE no gradient is 0 but for rounding: such a one makes a first step of full length in Adagrad.
    changes = {"dim": 3, "batch_size": 16, "negatives": 8, "learning_rate": 0.05, "optimizer": optimizer}
    trainer = Trainer(kg, Settings.create({"model": "rotate", **changes}), torch.device(device))
    for _ in range(20):
        trainer.step()
    return trainer


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(("optimizer", "kind"), [("adagrad", Adagrad), ("row-adagrad", RowAdagrad)])
def test_training_is_the_same_without_kernels(
    optimizer: str, kind: type[Adagrad], grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = trained(grid, optimizer)
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    plain = trained(grid, optimizer)
    for trainer in (compiled, plain):
        assert type(trainer.optimizer) is kind
        assert trainer.model.sparse_gradients
    for one, other in zip(compiled.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "shape", "words"), [("adagrad", 60, r"\(60,\)"), ("row-adagrad", (60, 6), r"\(60, 6\)")]
)
def test_a_trainer_refuses_the_state_of_the_other(
    optimizer: str, shape: int | tuple[int, ...], words: str, grid: KnowledgeGraph
) -> None:
    trainer = trained(grid, optimizer)
    state = trainer.state_dict()
    trainer.load_state_dict(state)
    with pytest.raises(ValueError, match=rf"the optimizer's sum is {words}"):
        trainer.load_state_dict(state | {"optimizer.0.sum": torch.zeros(shape)})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@both
def test_cuda(kind: type[Adagrad], grid: KnowledgeGraph) -> None:
    steps = random_steps(30, rows=30, width=20, ids=50)
    run = after(steps, Run(start(30, 20).cuda(), kind))
    expected, sums = REFERENCES[kind](start(30, 20), steps)
    assert_close(run.table, expected, TOLERANCES[torch.float32])
    assert_close(run.sum, sums, TOLERANCES[torch.float32])
    assert_identical(after(steps, Run(start(30, 20).cuda(), kind)), run)
    trained(grid, "row-adagrad" if kind is RowAdagrad else "adagrad", "cuda")
