"""Deferred Adam against PyTorch's dense one, which shares no code with it."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from emugraph import EmugraphError, InputError, KnowledgeGraph, Settings, kernels
from emugraph.optimizers import DeferredAdam
from emugraph.training.trainer import Trainer

EVERY_EXAMPLE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


pytestmark = pytest.mark.usefixtures("_compiled")


@dataclass
class Step:
    """What happens in a step. The gradients do not depend on the table, so that rounding cannot build up by them."""

    rate: float
    ids: Tensor  # any shape
    gradient: Tensor  # (*ids.shape, w)
    kind: str = "sparse"  # or "dense": the same gradient, zeros for the other rows; or "none": there is none
    refresh: bool = True
    finish: bool = False  # after the step


@dataclass
class Run:
    """A table under deferred Adam, step by step."""

    start: Tensor  # (N, w)
    table: nn.Parameter = field(init=False)
    optimizer: DeferredAdam = field(init=False)

    def __post_init__(self) -> None:
        self.table = nn.Parameter(self.start.clone())
        self.optimizer = DeferredAdam([self.table])

    def step(self, step: Step) -> None:
        if step.refresh:
            self.optimizer.refresh(self.table, step.ids)
        self.optimizer.zero_grad()
        if step.kind == "sparse":
            functional.embedding(step.ids, self.table, sparse=True).backward(step.gradient)
        elif step.kind == "dense":
            self.table.grad = dense(step, self.table)
        self.optimizer.param_groups[0]["lr"] = step.rate
        self.optimizer.step()
        if step.finish:
            self.optimizer.finish()


@dataclass
class Reference:
    """The same under PyTorch's."""

    start: Tensor
    table: nn.Parameter = field(init=False)
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.table = nn.Parameter(self.start.clone())
        self.optimizer = torch.optim.Adam([self.table], foreach=False)

    def step(self, step: Step) -> None:
        self.table.grad = None if step.kind == "none" else dense(step, self.table)
        self.optimizer.param_groups[0]["lr"] = step.rate
        self.optimizer.step()


def dense(step: Step, table: Tensor) -> Tensor:
    gradient = torch.zeros_like(table)
    return gradient.index_add_(0, step.ids.flatten(), step.gradient.reshape(-1, table.shape[1]))


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


def state(run: Run | Reference) -> dict[str, Tensor]:
    return {"table": run.table.detach(), **run.optimizer.state[run.table]}


def assert_same(run: Run, other: Run | Reference, rows: Tensor | slice = slice(None), tolerance: float = 0) -> None:
    """All that is known of these rows is the same, or differs by no more than a share of the largest number."""
    expected = state(other)
    assert state(run).keys() == expected.keys()
    for name, value in state(run).items():
        a, b = (value, expected[name]) if name == "step" else (value[rows], expected[name][rows])
        scale = expected[name].abs().max().item()
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * scale, msg=lambda text, name=name: f"{name}: {text}")


@st.composite
def histories(draw: st.DrawFn) -> tuple[Tensor, list[Step]]:
    rows, width = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    steps = []
    for _ in range(draw(st.integers(1, 30))):
        shape = draw(st.sampled_from([(0,), (1,), (2,), (9,), (2, 3), (1, 2, 2)]))
        # Rows from the first half are never touched where all draws say so.
        ids = torch.randint(draw(st.integers(0, rows - 1)), rows, shape, generator=generator)
        scale = draw(st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 1e3]))
        steps.append(
            Step(
                rate=draw(st.sampled_from([0.0, 1e-4, 1e-2, 0.3])),
                ids=ids,
                gradient=scale * torch.randn(*shape, width, generator=generator),
                kind=draw(st.sampled_from(["sparse"] * 6 + ["dense", "none"])),
                refresh=draw(st.integers(0, 4)) > 0,
                finish=draw(st.integers(0, 6)) == 0,
            )
        )
    return start(rows, width), steps


@EVERY_EXAMPLE
@given(histories())
def test_equals_dense_adam(history: tuple[Tensor, list[Step]]) -> None:
    table, steps = history
    run, reference = Run(table), Reference(table)
    for step in steps:
        if step.refresh:
            # What the step reads is what it would read under dense Adam.
            run.optimizer.refresh(run.table, step.ids)
            if run.optimizer.state[run.table]:
                assert_same(run, reference, step.ids, 1e-6) if step.ids.numel() else None
        run.step(step)
        reference.step(step)
    run.optimizer.finish()
    assert_same(run, reference, tolerance=1e-6)


@EVERY_EXAMPLE
@given(histories())
def test_when_rows_are_refreshed_changes_nothing(history: tuple[Tensor, list[Step]]) -> None:
    table, steps = history
    late, eager = Run(table), Run(table)
    everything = torch.arange(len(table))
    for step in steps:
        late.step(step)
        eager.step(step)
        eager.optimizer.refresh(eager.table, everything)
    late.optimizer.finish()
    assert_same(late, eager)


def test_hundreds_of_steps() -> None:
    steps = random_steps(600, rows=100, width=24, ids=8)
    table = start(100, 24)
    run, reference = Run(table), Reference(table)
    for step in steps:
        run.step(step)
        reference.step(step)
    run.optimizer.finish()
    assert_same(run, reference, tolerance=1e-6)


def test_one_row_by_hand() -> None:
    """A gradient of 2 in the first step, none in the second: two rows, of which the other stays where it is."""
    run = Run(torch.tensor([[1.0], [5.0]]))
    first, second = torch.tensor([[2.0]]), torch.tensor([[3.0]])
    run.step(Step(0.1, torch.tensor([0]), first))
    assert run.table.flatten().tolist() == pytest.approx([0.9, 5.0])  # the first step has the length of the rate
    run.step(Step(0.2, torch.tensor([1]), second))
    assert run.table.flatten().tolist() == pytest.approx([0.9, 5.0 - 0.2 * (0.3 / 0.19) / math.sqrt(0.009 / 0.001999)])
    run.optimizer.refresh(run.table, torch.tensor([0, 0]))
    # m = 0.9 * 0.1 * 2, v = 0.999 * 0.001 * 2**2; bias corrections 1 - 0.9**2 and 1 - 0.999**2.
    moved = 0.2 * (0.18 / 0.19) / math.sqrt(0.003996 / 0.001999)
    assert run.table[0].item() == pytest.approx(0.9 - moved)
    assert run.optimizer.state[run.table]["step"].item() == 2


def test_a_row_can_wait_for_thousands_of_steps() -> None:
    table = start(2, 20)
    run, reference = Run(table), Reference(table)
    for i in range(3000):
        step = Step(1e-3, torch.tensor([min(i, 1)]), torch.ones(1, 20))
        run.step(step)
        reference.step(step)
    run.optimizer.finish()
    assert_same(run, reference, tolerance=2e-6)


def test_the_number_of_threads_changes_nothing(threads: None) -> None:
    runs = []
    for count in (1, 2):
        torch.set_num_threads(count)
        run = Run(start(500, 72))
        for step in random_steps(30, rows=500, width=72, ids=400):
            run.step(step)
        run.optimizer.finish()
        runs.append(run)
    assert_same(*runs)


def test_finishing_again_changes_nothing() -> None:
    run = Run(start(30, 8))
    for step in random_steps(20, rows=30, width=8, ids=3):
        run.step(step)
    waiting = run.table.detach().clone()
    run.optimizer.finish()
    assert not torch.equal(run.table, waiting)
    before = copy.deepcopy(state(run))
    run.optimizer.finish()
    assert all(torch.equal(value, before[name]) for name, value in state(run).items())


def test_a_state_continues_as_if_nothing_had_been() -> None:
    steps = random_steps(40, rows=30, width=8, ids=3)
    run = Run(start(30, 8))
    for step in steps[:20]:
        run.step(step)
    kept = copy.deepcopy(run.optimizer.state_dict())
    other = Run(run.table.detach())
    for step in steps[30:]:
        other.step(step)  # what waits for it belongs to another state
    with torch.no_grad():
        other.table.copy_(run.table)
    other.optimizer.load_state_dict(kept)
    for step in steps[20:]:
        run.step(step)
        other.step(step)
    run.optimizer.finish()
    other.optimizer.finish()
    assert_same(other, run)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))])
def test_a_copy_continues_alike(copied: object) -> None:
    run = Run(start(30, 8))
    steps = random_steps(40, rows=30, width=8, ids=3)
    for step in steps[:20]:
        run.step(step)
    twin = copied(run)  # type: ignore[operator]
    for step in steps[20:]:
        run.step(step)
        twin.step(step)
    run.optimizer.finish()
    twin.optimizer.finish()
    assert_same(twin, run)


def test_a_state_of_dense_adam_can_be_continued() -> None:
    steps = random_steps(20, rows=30, width=8, ids=3)
    reference = Reference(start(30, 8))
    for step in steps[:10]:
        reference.step(step)
    run = Run(reference.table.detach())
    run.optimizer.load_state_dict(copy.deepcopy(reference.optimizer.state_dict()))
    for step in steps[10:]:
        reference.step(step)
        run.step(step)
    run.optimizer.finish()
    assert_same(run, reference, tolerance=1e-6)


def test_groups_and_closure() -> None:
    slow, fast = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(2, 3))
    optimizer = DeferredAdam([{"params": [slow]}, {"params": [fast], "lr": 1.0}], lr=0.1)

    def closure() -> float:
        loss = slow[0].sum() - fast[1].sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 0
    torch.testing.assert_close(slow.detach(), torch.tensor([[-0.1] * 3, [0.0] * 3]))
    torch.testing.assert_close(fast.detach(), torch.tensor([[0.0] * 3, [1.0] * 3]))


def test_ids_outside_the_table_are_refused_and_nothing_changes() -> None:
    run = Run(start(5, 4))
    for step in random_steps(3, rows=5, width=4, ids=2):
        run.step(step)
    before = run.table.detach().clone()
    for wrong in (5, -1):
        with pytest.raises(IndexError, match="outside the table"):
            run.optimizer.refresh(run.table, torch.tensor([0, 1, 2, 3, 4, wrong]))
        assert torch.equal(run.table, before)


@pytest.mark.parametrize(
    "table", [torch.zeros(3), torch.zeros(3, 2, dtype=torch.float64), torch.zeros(2, 3).T, torch.zeros(3, 2).to("meta")]
)
def test_refuses_what_is_no_table(table: Tensor) -> None:
    assert not DeferredAdam.serves([table])
    with pytest.raises(InputError, match=r"needs contiguous tables \(N, w\) of float32"):
        DeferredAdam([nn.Parameter(table)])


def test_without_kernels_pytorch_takes_over(grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    trainer = Trainer(grid, Settings(dim=4), cpu)
    assert type(trainer.optimizer) is DeferredAdam
    assert trainer.model.sparse_gradients
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    assert not kernels.compiled()
    trainer = Trainer(grid, Settings(dim=4), cpu)
    assert type(trainer.optimizer) is torch.optim.Adam
    assert not trainer.model.sparse_gradients
    trainer.step()
    with pytest.raises(EmugraphError, match=r"needs compiled kernels, not PyTorch \(EMUGRAPH_KERNELS=off\)"):
        DeferredAdam([trainer.model.entities])


@pytest.fixture
def scattered() -> KnowledgeGraph:
    """So many relations and entities that a batch has few of them."""
    generator = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(n, (120,), generator=generator) for n in (50, 30, 50)], dim=1)
    return KnowledgeGraph.from_triples([tuple(map(str, triple)) for triple in triples.tolist()])


def trained(kg: KnowledgeGraph, model: str, steps: int, finish_every: int = 1000) -> Trainer:
    changes = {"dim": 10, "batch_size": 8, "negatives": 6, "steps": steps, "learning_rate": 0.01}
    trainer = Trainer(kg, Settings.create({"model": model, **changes}), torch.device("cpu"))
    for step in range(steps):
        trainer.step()
        if step % finish_every == 0:
            trainer.finish()
    trainer.finish()
    return trainer


@pytest.mark.parametrize("model", ["distmult", "rotate"])
def test_training_equals_training_with_dense_adam(
    model: str, scattered: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred = trained(scattered, model, steps=80)
    again = trained(scattered, model, steps=80, finish_every=7)
    assert torch.equal(again.model.entities, deferred.model.entities)
    assert torch.equal(again.model.relations, deferred.model.relations)
    monkeypatch.setattr(DeferredAdam, "serves", lambda _parameters: False)
    dense = trained(scattered, model, steps=80)
    assert type(dense.optimizer) is torch.optim.Adam
    for one, other in zip(deferred.model.parameters(), dense.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
