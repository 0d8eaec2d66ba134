from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import emugraph
from emugraph import EmugraphError, InputError, KnowledgeGraph
from emugraph.io.mapped_memory import MappedMemory
from emugraph.runs.session import Interrupted
from emugraph.training.trainer import Trainer

SMALL = {"dim": 8, "steps": 60, "valid_every": 20, "batch_size": 20, "negatives": 10}


def mapped_files() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if ".emugraph-" in line]


@pytest.mark.parametrize("optimizer", ["adam", "lazy-adam", "adagrad", "row-adagrad"])
def test_tables_in_files_train_as_those_in_memory(optimizer: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    seen: list[int] = []

    class Look(emugraph.Callback):
        def on_validation(self, trainer: Trainer, metrics: object, best: bool) -> None:
            seen.append(len(mapped_files()))

    options = {**SMALL, "optimizer": optimizer}
    plain = emugraph.train(grid, "distmult", output=tmp_path / "plain", **options)
    mapped = emugraph.train(
        grid, "distmult", output=tmp_path / "mapped", map_to=tmp_path / "there", callbacks=[Look()], **options
    )
    assert torch.equal(plain.model.entities, mapped.model.entities)
    assert plain.metrics["test"] == mapped.metrics["test"]
    states = {"adam": 2, "lazy-adam": 2, "adagrad": 1, "row-adagrad": 1}[optimizer]
    assert seen == [2 * (1 + states)] * 3  # entities and relations, each with its states
    assert not list((tmp_path / "there").iterdir())  # nothing is left behind


@pytest.mark.usefixtures("_signals")
def test_a_resumed_run_lies_in_files_too(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Stop(emugraph.Callback):
        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            if trainer.step_count == 30:
                signal.raise_signal(signal.SIGINT)

    options = {**SMALL, "optimizer": "lazy-adam"}
    whole = emugraph.train(grid, "complex", output=tmp_path / "whole", **options)
    with pytest.raises(Interrupted):
        emugraph.train(grid, "complex", output=tmp_path / "cut", map_to=tmp_path / "m", callbacks=[Stop()], **options)
    cut = emugraph.resume(tmp_path / "cut", map_to=tmp_path / "m")
    assert torch.equal(whole.model.entities, cut.model.entities)


def test_tables_in_files_take_no_private_memory(tmp_path: Path) -> None:
    """Three tables of 320 MB, all of whose pages are used, take no private memory where they lie in files."""
    code = """
import resource, sys, torch, emugraph
from pathlib import Path
from emugraph import KnowledgeGraph, Settings, Vocabulary
from emugraph.io.mapped_memory import MappedMemory
from emugraph.training.trainer import Trainer
kg = KnowledgeGraph(Vocabulary(map(str, range(400_000))), Vocabulary("r"), torch.tensor([[0, 0, 1], [1, 0, 2]]))
settings = Settings(model="distmult", dim=200, batch_size=2, negatives=4, optimizer="lazy-adam")
trainer = Trainer(kg, settings, torch.device("cpu"), MappedMemory(Path(sys.argv[1])) if sys.argv[1] else None)
for _ in range(3):
    trainer.step()
trainer.optimizer.state[trainer.model.entities]["exp_avg"].fill_(0.5)
trainer.optimizer.state[trainer.model.entities]["exp_avg_sq"].fill_(0.5)
private = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
print(int(private[0].split()[1]) // 1000)
"""
    used = {}
    for where in (str(tmp_path), ""):
        done = subprocess.run([sys.executable, "-c", code, where], capture_output=True, text=True, check=True)
        used[where] = int(done.stdout)
    assert used[""] - used[str(tmp_path)] > 900


def test_a_full_disk_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    memory = MappedMemory(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(EmugraphError, match="no space left"):
        memory.empty(10, 3)
    assert not list(tmp_path.iterdir())


def test_numbers(tmp_path: Path) -> None:
    memory = MappedMemory(tmp_path / "deep" / "er")
    table = memory.empty(5, 3)
    table.fill_(2.0)
    zeros = memory.zeros_like(torch.ones(4, 2, dtype=torch.float64)[:, 0])
    assert table.sum() == 30
    assert zeros.dtype == torch.float64
    assert zeros.tolist() == [0, 0, 0, 0]
    assert memory.empty(0, 3).shape == (0, 3)


def test_only_on_a_cpu(grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emugraph.runs.run.choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(InputError, match="serve a CPU alone"):
        emugraph.train(grid, map_to=tmp_path, output=tmp_path / "run")
