from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.cli.main import app
from emugraph.evaluation.ranking import Evaluator
from emugraph.runs.callbacks import Callback
from emugraph.system import with_matmul_precision

CODE = """
import resource, sys, torch
from emugraph.system import keep_freed_memory

def faults(mebibytes):
    for repeat in range(15):
        if repeat == 5:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        matrices = [torch.ones(mebibytes << 18) for _ in range(4)]
        del matrices
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
print(kept, faults(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_that_is_kept_is_not_asked_for_again() -> None:
    # The thresholds that a process starts with; without them they move with what is freed, and with them the faults.
    start = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    faults = {}
    for choice in ("keep", "default"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, choice], capture_output=True, text=True, check=True, env=os.environ | start
        )
        kept, count = done.stdout.split()
        assert kept == ("True" if choice == "keep" else "None")
        faults[choice] = int(count)
    assert faults["keep"] < 100 < faults["default"]


def test_the_precision_of_products_is_set_and_put_back() -> None:
    assert torch.get_float32_matmul_precision() == "highest"
    with with_matmul_precision("medium"):
        assert torch.get_float32_matmul_precision() == "medium"
        with with_matmul_precision(None):
            assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(InputError, match=r"unknown precision 'hihg'; known: highest, high, medium\. Did you mean"):  # noqa: SIM117
            with with_matmul_precision("hihg"):
                pass
    assert torch.get_float32_matmul_precision() == "highest"


def test_runs_train_and_rank_with_the_precision_asked_for(
    family: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Look(Callback):
        def on_step(self, trainer: Any, loss: torch.Tensor) -> None:
            seen.append(torch.get_float32_matmul_precision())

    def evaluate(*arguments: Any, **options: Any) -> dict[str, Any]:
        seen.append(torch.get_float32_matmul_precision())
        return evaluates(*arguments, **options)

    evaluates = Evaluator.evaluate
    options = {"output": tmp_path / "run", "callbacks": [Look()], "dim": 4, "negatives": 2, "valid_every": 2}
    run = emugraph.train(family, steps=2, matmul_precision="high", **options)  # type: ignore[arg-type]
    run = run.resume(steps=3, matmul_precision="medium", callbacks=[Look()])
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    emugraph.evaluate(run.model, family, matmul_precision="medium")
    command = ["evaluate", str(run.path), "--matmul-precision", "high"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert seen == ["high", "high", "medium", "medium", "high"]
    assert torch.get_float32_matmul_precision() == "highest"
    refused = CliRunner().invoke(app, [*command[:-1], "low"])
    assert refused.exit_code != 0
    assert torch.get_float32_matmul_precision() == "highest"


BY_BACKEND = """
import sys, torch
import emugraph
from types import SimpleNamespace
from emugraph.kernels.native import pairs
from emugraph.system import machine, with_matmul_precision

cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
cuda.fp32_precision, cpu.fp32_precision = sys.argv[2:]
before = cuda.fp32_precision, cpu.fp32_precision
try:
    torch.get_float32_matmul_precision()
except RuntimeError:
    pass  # what this is about
else:
    raise AssertionError("PyTorch gives a name to what has none")
triples = [(f"e{i}", "r", f"e{(3 * i + 1) % 10}") for i in range(10)]
kg = emugraph.KnowledgeGraph.from_triples(triples[:6], triples[6:8], triples[8:])
run = emugraph.train(kg, "distmult", output=sys.argv[1], dim=4, steps=2, valid_every=2, negatives=2, emu=False)
figures = emugraph.evaluate(run.model, kg)
assert figures == run.metrics["test"]
assert (cuda.fp32_precision, cpu.fp32_precision) == before
emugraph.evaluate(run.model, kg, matmul_precision="high")
assert (cuda.fp32_precision, cpu.fp32_precision) == before
with with_matmul_precision("medium"):
    assert torch.get_float32_matmul_precision() == "medium"
    assert machine(torch.device("cpu"))["matmul_precision"] == "medium"
assert (cuda.fp32_precision, cpu.fp32_precision) == before
run.predict_tails("e1", "r")
run.resume(steps=4)
print(machine(torch.device("cpu"))["matmul_precision"])
pairs.library = lambda: SimpleNamespace(bfloat16=True)
print(pairs.rounds_factors())
"""


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="this PyTorch has one setting for all")
@pytest.mark.parametrize(("cuda", "cpu", "rounds"), [("tf32", "ieee", False), ("ieee", "bf16", True)])
def test_precisions_set_one_by_one_stay_as_they_are(cuda: str, cpu: str, rounds: bool, tmp_path: Path) -> None:
    """By PyTorch's newer settings, which its older ones then refuse to give a name."""
    done = subprocess.run(
        [sys.executable, "-c", BY_BACKEND, str(tmp_path / "run"), cuda, cpu],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == [f"cuda {cuda}, cpu {cpu}", str(rounds), ""]


def test_another_precision_than_at_the_beginning_is_told(tmp_path: Path, family: KnowledgeGraph) -> None:
    run = emugraph.train(family, output=tmp_path / "run", matmul_precision="high", steps=1, dim=2, negatives=2)
    done = CliRunner().invoke(app, ["resume", str(run.path), "--steps", "2"])
    assert done.exit_code == 0
    assert "matmul_precision was high, is highest" in done.output
