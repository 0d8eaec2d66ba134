"""Runs that are cut off and go on: the same to the bit."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import emugraph
from emugraph import Checkpoints, EmugraphError, InputError, Interrupted, KnowledgeGraph
from emugraph.cli.main import app
from emugraph.models import MODELS
from emugraph.runs.callbacks import Callback
from emugraph.runs.contents import read_checkpoint, write_checkpoint
from emugraph.runs.folder import RunFolder
from emugraph.sampling import SAMPLERS
from emugraph.training.trainer import Trainer

SMALL: dict[str, Any] = {
    "dim": 8, "batch_size": 32, "negatives": 16, "steps": 60, "valid_every": 7, "learning_rate": 0.05,
    "hops": 2, "walks": 20, "cache_size": 10,
}  # fmt: skip
SELDOM = Checkpoints(minutes=0)


class CutError(Exception):
    pass


class CutAt(Callback):
    """Ends training after a step as a kill does: nothing more is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if trainer.step_count == self.step:
            raise CutError


class SignalAt(Callback):
    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if trainer.step_count == self.step:
            signal.raise_signal(self.number)


def weights(path: Path) -> bytes:
    return (path / "weights.safetensors").read_bytes()


def last_checkpoint(path: Path) -> dict[str, Any]:
    actual = read_checkpoint(RunFolder.open(path))
    assert actual is not None
    return {name: value for name, value in actual[1].items() if name != "seconds"}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in one.items()
    )


def log(path: Path) -> list[dict[str, Any]]:
    lines = (path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))


def cut_and_resume(kg: KnowledgeGraph, tmp_path: Path, cut: int, every: int, **settings: Any) -> None:
    """Train with and without a cut; all that is left behind must be the same."""
    whole = emugraph.train(kg, output=tmp_path / "whole", checkpoints=SELDOM, **settings)
    with pytest.raises(CutError):
        emugraph.train(
            kg, output=tmp_path / "cut", checkpoints=Checkpoints(0, every), callbacks=[CutAt(cut)], **settings
        )
    resumed = emugraph.resume(tmp_path / "cut")
    assert weights(whole.path) == weights(resumed.path)
    assert same(last_checkpoint(whole.path), last_checkpoint(resumed.path))
    assert log(whole.path) == log(resumed.path)
    assert {k: v for k, v in whole.metrics.items() if k != "seconds"} == {
        k: v for k, v in resumed.metrics.items() if k != "seconds"
    }
    assert resumed.evaluate("test") == whole.metrics["test"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_goes_on(model: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    cut_and_resume(grid, tmp_path, 37, 10, model=model, **SMALL)


@pytest.mark.parametrize("sampler", [*sorted(SAMPLERS), "0.5*nscaching+0.5*khop"])
def test_every_sampler_goes_on(sampler: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    cut_and_resume(grid, tmp_path, 23, 4, model="distmult", sampler=sampler, cache_every=2, **SMALL)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "lazy-adam"},
        {"optimizer": "adagrad"},
        {"optimizer": "row-adagrad"},
        {"schedule": "constant", "warmup": 30},
        {"negatives": "all"},
        {"mixing": "mixup"},
        {"loss": "self-adversarial"},
        {"valid_sample": 4, "reciprocal": True},
        {"sides": "by-relation", "mask": "bernoulli"},
        {"patience": 2, "learning_rate": 0.5},
    ],
    ids=str,
)
def test_every_kind_of_training_goes_on(changes: dict[str, Any], grid: KnowledgeGraph, tmp_path: Path) -> None:
    cut_and_resume(grid, tmp_path, 20, 9, model="complex", **{**SMALL, **changes})


@pytest.mark.parametrize("cut", [1, 7, 21, 59, 60])
def test_any_step_will_do(cut: int, grid: KnowledgeGraph, tmp_path: Path) -> None:
    cut_and_resume(grid, tmp_path, cut, 7, model="transe", **SMALL)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_a_gpu_goes_on(grid: KnowledgeGraph, tmp_path: Path) -> None:
    with pytest.raises(CutError):
        emugraph.train(
            grid, output=tmp_path / "run", device="cuda", checkpoints=Checkpoints(0, 10), callbacks=[CutAt(25)], **SMALL
        )
    assert emugraph.resume(tmp_path / "run", device="cuda").metrics["steps"] == 60


def test_a_run_without_plain_adam_in_c_goes_on(
    grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emugraph.training.trainer.DeferredAdam.serves", lambda parameters: False)
    cut_and_resume(grid, tmp_path, 25, 10, model="distmult", **SMALL)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_writes_a_checkpoint(number: int, grid: KnowledgeGraph, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"stopped after step 11; .*emugraph resume") as caught:
        emugraph.train(grid, output=tmp_path / "run", callbacks=[SignalAt(11, number)], **SMALL)
    assert (caught.value.number, caught.value.step) == (number, 11)
    assert signal.getsignal(number) is before
    assert last_checkpoint(tmp_path / "run")["trainer.step_count"] == 11
    whole = emugraph.train(grid, output=tmp_path / "whole", **SMALL)
    assert weights(emugraph.resume(tmp_path / "run").path) == weights(whole.path)


@pytest.mark.usefixtures("_signals")
def test_a_second_ctrl_c_does_not_wait(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Twice(Callback):
        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the second one was waited for")

    with pytest.raises(KeyboardInterrupt) as caught:
        emugraph.train(grid, output=tmp_path / "run", callbacks=[Twice()], **SMALL)
    assert not isinstance(caught.value, Interrupted)


def test_signals_are_left_alone_in_other_threads(grid: KnowledgeGraph, tmp_path: Path) -> None:
    runs = []
    thread = threading.Thread(target=lambda: runs.append(emugraph.train(grid, output=tmp_path / "run", **SMALL)))
    thread.start()
    thread.join()
    assert runs[0].metrics["steps"] == 60


def test_more_steps_can_be_asked_for(grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, output=tmp_path / "run", **{**SMALL, "schedule": "constant"})
    longer = run.resume(steps=90)
    assert longer.metrics["steps"] == 90
    assert emugraph.load(run.path).settings.steps == 90
    whole = emugraph.train(grid, output=tmp_path / "whole", **{**SMALL, "schedule": "constant", "steps": 90})
    kept = load_file(whole.path / "checkpoints" / "step-00000090.safetensors")
    actual = load_file(run.path / "checkpoints" / "step-00000090.safetensors")
    assert torch.equal(kept["trainer.model.entities"], actual["trainer.model.entities"])
    with pytest.raises(InputError, match="is a run of 90 steps; it can be given more, not 80"):
        emugraph.resume(run.path, steps=80)


def test_more_steps_after_patience_ran_out(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "learning_rate": 1e-9, "valid_every": 10, "patience": 2}
    run = emugraph.train(grid, output=tmp_path / "run", **settings)
    assert run.metrics["steps"] == 30
    assert run.resume().metrics == run.metrics
    assert run.resume(steps=100).metrics["steps"] == 50


def test_a_finished_run_is_opened(grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, output=tmp_path / "run", **SMALL)
    files = [path for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"]
    before = [path.stat().st_mtime_ns for path in files]
    assert emugraph.resume(run.path).metrics == run.metrics
    assert [path.stat().st_mtime_ns for path in files] == before


def test_the_latest_checkpoints_are_kept(grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, output=tmp_path / "run", checkpoints=Checkpoints(0, 10, 3), **SMALL)
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == [
        f"step-000000{step}.safetensors" for step in (40, 50, 60)
    ]


def test_checkpoints_by_the_clock(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Count(Callback):
        written = 0

        def on_checkpoint(self, trainer: Trainer, path: Path) -> None:
            self.written += 1

    count = Count()
    emugraph.train(grid, output=tmp_path / "run", checkpoints=Checkpoints(1e-9), callbacks=[count], **SMALL)
    assert count.written == 60


@pytest.mark.parametrize("values", [(-1,), (float("nan"),), (1, 0), (1, 5, 0)])
def test_checkpoints_out_of_range(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="checkpoint"):
        Checkpoints(*values)  # type: ignore[arg-type]


def test_an_older_checkpoint_will_do(grid: KnowledgeGraph, tmp_path: Path) -> None:
    whole = emugraph.train(grid, output=tmp_path / "whole", **SMALL)
    with pytest.raises(CutError):
        emugraph.train(grid, output=tmp_path / "run", checkpoints=Checkpoints(0, 10), callbacks=[CutAt(45)], **SMALL)
    latest = tmp_path / "run" / "checkpoints" / "step-00000040.safetensors"
    latest.write_bytes(latest.read_bytes()[:-1])
    with pytest.raises(EmugraphError, match=r"step-00000040.* Delete it to go on from step 30"):
        emugraph.resume(tmp_path / "run")
    latest.unlink()
    assert weights(emugraph.resume(tmp_path / "run").path) == weights(whole.path)


def cut_run(kg: KnowledgeGraph, path: Path, **changes: Any) -> RunFolder:
    with pytest.raises(CutError):
        emugraph.train(kg, output=path, checkpoints=Checkpoints(0, 10), callbacks=[CutAt(25)], **{**SMALL, **changes})
    return RunFolder.open(path)


def test_another_setting_is_refused_by_name(grid: KnowledgeGraph, tmp_path: Path) -> None:
    folder = cut_run(grid, tmp_path / "run")
    text = folder.read("config.toml").decode()
    folder.write_text("config.toml", text.replace("batch_size = 32", "batch_size = 16"))
    with pytest.raises(EmugraphError, match="it is for other settings: batch_size is 32 there, 16 here"):
        emugraph.resume(folder.path)


def test_another_graph_is_refused_by_name(grid: KnowledgeGraph, family: KnowledgeGraph, tmp_path: Path) -> None:
    folder = cut_run(grid, tmp_path / "run")
    other = cut_run(family, tmp_path / "other", batch_size=2)
    for name in ("graph/entities.json", "graph/relations.json", "graph/triples.safetensors"):
        content = other.read(name)
        folder.write(name, lambda path, content=content: path.write_bytes(content))  # type: ignore[misc]
    with pytest.raises(EmugraphError, match="it is for other graph: entities is 60 there, 5 here"):
        emugraph.resume(folder.path)


def test_a_run_that_is_being_trained_is_refused(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Resume(Callback):
        refused = False

        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            if trainer.step_count == 5:
                with pytest.raises(InputError, match="another process trains in"):
                    emugraph.resume(tmp_path / "run")
                self.refused = True

    callback = Resume()
    emugraph.train(grid, output=tmp_path / "run", callbacks=[callback], **SMALL)
    assert callback.refused


def test_a_full_disk_ends_the_run_with_the_last_checkpoint_intact(
    grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fill(Callback):
        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            if trainer.step_count == 15:
                monkeypatch.setattr("emugraph.io.tensor_files.save_file", full)

    def full(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(
        EmugraphError, match=r"no space left while writing .*step-00000020.*; .* a checkpoint of step 10 \(go on with"
    ):
        emugraph.train(
            grid, output=tmp_path / "run", checkpoints=Checkpoints(0, 10), callbacks=[Fill()],
            **{**SMALL, "valid_every": 100},
        )  # fmt: skip
    monkeypatch.undo()
    whole = emugraph.train(grid, output=tmp_path / "whole", **{**SMALL, "valid_every": 100})
    assert weights(emugraph.resume(tmp_path / "run").path) == weights(whole.path)


def from_a_gpu(kg: KnowledgeGraph, path: Path) -> RunFolder:
    """A run that was cut off, with a checkpoint as a CUDA device writes it: seed and offset of the generator."""
    folder = cut_run(kg, path)
    state = last_checkpoint(folder.path) | {"seconds": 1.0}
    assert state["trainer.device_generator"].numel() == 5056
    state["trainer.device_generator"] = torch.tensor([0] * 8 + [12] + [0] * 7, dtype=torch.uint8)
    write_checkpoint(folder, state["trainer.step_count"], state, keep=2)
    return folder


def test_a_checkpoint_from_a_gpu_goes_on_with_random_numbers_of_its_own(grid: KnowledgeGraph, tmp_path: Path) -> None:
    folders = [from_a_gpu(grid, tmp_path / name) for name in ("one", "other")]
    for folder in folders:
        with pytest.warns(UserWarning, match=r"of a CUDA device, and this is cpu: .* no longer bit for bit"):
            run = emugraph.resume(folder.path)
        assert run.metrics["steps"] == SMALL["steps"]
    one, other = (last_checkpoint(folder.path) for folder in folders)
    assert same(one, other)  # the numbers come from the seed and the step
    whole = last_checkpoint(emugraph.train(grid, output=tmp_path / "whole", **SMALL).path)
    assert not torch.equal(whole["trainer.model.entities"], one["trainer.model.entities"])
    run = emugraph.resume(folders[0].path, steps=SMALL["steps"] + 5)  # from here on it is the CPU's own: no warning
    assert run.metrics["steps"] == SMALL["steps"] + 5


@pytest.mark.filterwarnings("default")
def test_the_command_says_where_random_numbers_begin_anew(grid: KnowledgeGraph, tmp_path: Path) -> None:
    folder = from_a_gpu(grid, tmp_path / "run")
    done = CliRunner().invoke(app, ["resume", str(folder.path)])
    assert done.exit_code == 0, done.output
    said = [line for line in done.stderr.splitlines() if "no longer bit for bit" in line]
    assert len(said) == 1
    assert said[0].startswith("the checkpoint's random numbers are those of a CUDA device, and this is cpu")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("trainer.model.entities", torch.zeros(59, 8), r"entities is \(59, 8\)"),
        ("trainer.model.entities", torch.full((60, 8), torch.nan), "entities has numbers that are not finite"),
        ("trainer.model.entities", None, "there is no entities"),
        ("trainer.optimizer.0.exp_avg", torch.zeros(60, 7), r"the optimizer's exp_avg is \(60, 7\)"),
        ("trainer.batches.tail.pending", torch.tensor([84]), r"the batches to come has ids outside 0\.\.83"),
        ("trainer.generator", torch.zeros(3, dtype=torch.uint8), "does not fit its run"),
        ("trainer.device_generator", torch.zeros(17, dtype=torch.uint8), "does not fit its run"),
        ("trainer.device_generator", torch.zeros(16), "does not fit its run"),
        ("trainer.device_generator", 3, "does not fit its run"),
        ("trainer.step_count", -1, "step_count is -1"),
        ("trainer.step_count", "many", "step_count is 'many'"),
        ("graph", "none", "does not fit its run"),
        ("settings", [], "does not fit its run"),
        ("best_mrr", "high", "could not convert string to float"),
        ("since_best", [], "does not fit its run"),
        ("losses", 3, "losses is 3"),
    ],
)
def test_a_checkpoint_that_does_not_fit(
    name: str, value: Any, words: str, grid: KnowledgeGraph, tmp_path: Path
) -> None:
    folder = cut_run(grid, tmp_path / "run")
    state = last_checkpoint(folder.path) | {"seconds": 1.0}
    del state[name]
    if value is not None:
        state[name] = value
    write_checkpoint(folder, 20, state, keep=2)
    with pytest.raises(EmugraphError, match=words) as caught:
        emugraph.resume(folder.path)
    assert "step-00000020.safetensors" in str(caught.value)
    assert "does not fit its run" in str(caught.value)
