"""Steps by recordings, on a CPU: a tape of operators, run again on the same memory, stands in for a CUDA graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import emugraph
from emugraph import InputError, KnowledgeGraph, Profile, Settings
from emugraph.models import MODELS
from emugraph.sampling import SAMPLERS
from emugraph.training.cuda_graphs import WARM_UP, CudaRecorder, Recordings, Work
from emugraph.training.trainer import Trainer


def parts(result: Any) -> list[Tensor]:
    """The dense tensors of which a result is made."""
    tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    return [part for x in tensors for part in ((x._indices(), x._values()) if x.is_sparse else (x,))]


class Tape(TorchDispatchMode):
    """Remembers operators, and runs them again on the tensors that they were given, into those that they gave.

    As in a CUDA graph, nothing of Python runs again: what the host decided and what it changed is as it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for function, args, kwargs, result in self.calls:
            again = function(*args, **kwargs)
            for old, new in zip(parts(result), parts(again), strict=True):
                if old.data_ptr() != new.data_ptr():  # else it was changed in place, or is a view
                    old.copy_(new)


class TapeRecorder:
    """Makes tapes, which unlike CUDA graphs cannot be made without doing the work."""

    def __init__(self) -> None:
        self.warmed_up = self.recorded = 0

    def warm_up(self, work: Work) -> Tensor:
        self.warmed_up += 1
        return work()

    def record(self, work: Work) -> Work:
        self.recorded += 1
        with Tape() as tape:
            result = work()
        done = True

        def replay() -> Tensor:
            nonlocal done
            if not done:
                with torch.no_grad():
                    tape.replay()
            done = False
            return result

        return replay


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emugraph.static_shapes.everywhere", True)
    monkeypatch.setenv("EMUGRAPH_KERNELS", "off")
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))


def trainer_of(kg: KnowledgeGraph, device: str = "cpu", **changes: Any) -> Trainer:
    # With RotatE no gradient is 0 but for rounding, which makes a first step of full length in Adam and Adagrad.
    values = {
        "model": "rotate", "dim": 4, "batch_size": 8, "negatives": 6, "hops": 1, "walks": 5, "cache_size": 4,
        "cache_candidates": 3, "steps": 60, "warmup": 5,
    }  # fmt: skip
    return Trainer(kg, Settings.create(values | changes), torch.device(device))


def losses_of(trainer: Trainer, steps: int = 30) -> list[float]:
    return [trainer.step().item() for _ in range(steps)]


def assert_alike(one: Trainer, other: Trainer) -> None:
    for x, y in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-5)


def assert_same_run(kg: KnowledgeGraph, **changes: Any) -> TapeRecorder:
    plain, recorded, recorder = trainer_of(kg, **changes), trainer_of(kg, **changes), TapeRecorder()
    recorded.record(recorder)
    assert losses_of(recorded) == pytest.approx(losses_of(plain), rel=1e-4)
    assert_alike(recorded, plain)
    return recorder


@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "adagrad", "row-adagrad"])
@pytest.mark.parametrize("sampler", [*SAMPLERS, "0.5*khop+0.5*nscaching"])
def test_recorded_steps_are_the_same(sampler: str, optimizer: str, grid: KnowledgeGraph) -> None:
    recorder = assert_same_run(grid, sampler=sampler, optimizer=optimizer)
    assert (recorder.recorded, recorder.warmed_up) == (2, 2 * WARM_UP)  # one a side


@pytest.mark.parametrize("sharing", ["shared", "per-positive"])
@pytest.mark.parametrize("model", MODELS)
def test_of_every_model(model: str, sharing: str, grid: KnowledgeGraph) -> None:
    assert_same_run(grid, model=model, sharing=sharing, optimizer="row-adagrad", regularization=0.1)


def test_a_phase_of_the_sampler_has_a_recording_of_its_own(grid: KnowledgeGraph) -> None:
    """Caches are updated in every second epoch, of ten steps a side."""
    recorder = assert_same_run(grid, sampler="nscaching", sides="alternating", cache_every=2)
    assert recorder.recorded == 4  # one a side in each of two epochs


def test_a_loaded_state_is_recorded_anew(grid: KnowledgeGraph) -> None:
    plain, recorded, recorder = trainer_of(grid), trainer_of(grid), TapeRecorder()
    recorded.record(recorder)
    losses_of(plain, 10), losses_of(recorded, 10)
    state = {name: value.clone() if isinstance(value, Tensor) else value for name, value in plain.state_dict().items()}
    losses_of(recorded, 5)
    recorded.load_state_dict(state)
    assert losses_of(recorded) == pytest.approx(losses_of(plain), rel=1e-4)
    assert_alike(recorded, plain)
    assert recorder.recorded == 4


def test_what_cannot_be_recorded_is_said_once_and_done(grid: KnowledgeGraph) -> None:
    class Fails(TapeRecorder):
        def record(self, work: Work) -> Work:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with ...")

    plain, recorded = trainer_of(grid), trainer_of(grid)
    recorded.record(Fails())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        actual = losses_of(recorded)
    assert [str(warning.message) for warning in caught] == [
        "a step cannot be recorded, and goes on as it is: CUDA error: operation not permitted when stream is capturing"
    ]
    assert actual == pytest.approx(losses_of(plain), rel=1e-4)
    assert_alike(recorded, plain)


def test_losses_are_kept_apart(grid: KnowledgeGraph) -> None:
    trainer = trainer_of(grid)
    trainer.record(TapeRecorder())
    losses = [trainer.step() for _ in range(20)]
    assert len({loss.item() for loss in losses}) == 20


def test_a_profile_times_recorded_steps_whole(grid: KnowledgeGraph, tmp_path: Path) -> None:
    profile, trainer = Profile(), trainer_of(grid)
    profile.on_start(trainer, tmp_path)
    trainer.record(TapeRecorder())
    losses_of(trainer, 10)
    assert profile.calls == {"batch": 10, "step": 10}


def test_work_sees_each_batch_and_its_key() -> None:
    seen: list[str] = []
    total = torch.zeros(())

    def work(batch: Tensor, key: str) -> Tensor:
        seen.append(key)
        return total.add_(batch.sum() if key == "plus" else -batch.sum())

    recordings = Recordings(work, TapeRecorder())
    results = [recordings(torch.full((2,), float(i)), "plus" if i % 2 else "minus").item() for i in range(12)]
    sums = [sum(2 * i if i % 2 else -2 * i for i in range(last + 1)) for last in range(12)]
    assert results == sums
    assert seen == ["minus", "plus"] * (WARM_UP + 1)  # and no more once it is recorded


@pytest.mark.parametrize("fails", [False, True])
def test_cuda_graphs_are_asked_for_as_pytorch_wants_it(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the calls of torch.cuda, which tell their order."""
    calls: list[str] = []

    class Stream:
        def __init__(self, device: Any = None) -> None:
            pass

        def wait_stream(self, other: Stream) -> None:
            calls.append("wait")

    class Graph:
        def register_generator_state(self, generator: torch.Generator) -> None:
            calls.append("register")

        def replay(self) -> None:
            calls.append("replay")

    @contextmanager
    def capture(graph: Graph, stream: Stream) -> Iterator[None]:
        calls.append("capture")
        yield

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        calls.append("on")
        yield

    stand_ins: dict[str, Callable[..., Any]] = {
        "Stream": Stream, "CUDAGraph": Graph, "graph": capture, "stream": on, "current_stream": Stream
    }  # fmt: skip
    for name, value in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, value)
    table = torch.nn.Parameter(torch.zeros(2))
    optimizer, generator = torch.optim.Adam([table]), torch.Generator()
    recorder, before = CudaRecorder(generator, optimizer), generator.get_state()
    group = optimizer.param_groups[0]

    def work() -> Tensor:
        calls.append(f"work {group['capturable']}")
        torch.rand(1, generator=generator)
        if fails and group["capturable"]:
            raise RuntimeError("cannot")
        return table

    recorder.warm_up(work)
    assert calls == ["wait", "on", "work False", "wait"]
    generator.set_state(before)
    calls.clear()
    if fails:
        with pytest.raises(RuntimeError, match="cannot"):
            recorder.record(work)
        assert torch.equal(generator.get_state(), before)
    else:
        assert recorder.record(work)() is table
    assert calls == ["register", "capture", "work True", *([] if fails else ["replay"])]
    assert group["capturable"] is False


def test_graphs_without_a_device_are_refused(grid: KnowledgeGraph, run_folder: Path, tmp_path: Path) -> None:
    for go in (
        lambda: emugraph.train(grid, output=tmp_path / "other", device="cpu", cuda_graphs=True),
        lambda: emugraph.resume(run_folder, device="cpu", cuda_graphs=True),
    ):
        with pytest.raises(InputError, match="CUDA graphs need a CUDA device, and this is cpu; leave them out"):
            go()
    assert not (tmp_path / "other").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "row-adagrad"])
@pytest.mark.parametrize("sampler", ["uniform", "khop", "nscaching"])
def test_cuda(sampler: str, optimizer: str, grid: KnowledgeGraph) -> None:
    plain, recorded = (
        trainer_of(grid, "cuda", sampler=sampler, optimizer=optimizer, sides="alternating") for _ in range(2)
    )
    recorded.record()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that it is recorded
        actual = losses_of(recorded)
    assert actual == pytest.approx(losses_of(plain), rel=1e-3)
    state = recorded.device_generator.get_state()
    assert torch.equal(state, plain.device_generator.get_state())
    torch.cuda.set_sync_debug_mode("error")
    try:
        for trainer in (plain, recorded):
            for _ in range(4):
                trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
