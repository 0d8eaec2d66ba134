"""A training step and a whole run on a CUDA device; where there is none, it says so and ends well.

    python -m benchmarks.gpu [--steps 40000] [--json]

- ``step_ms``: a step with EMU (B = 1000, K = 256 shared negatives, d = 100, the counts of FB15k-237), by model, with
  and without CUDA graphs and by the precision of products, device synchronised before and after;
- ``waits``: how often the host waited for the device in 100 such steps, as PyTorch's synchronisation warnings count it.
  One is on purpose: whether the loss is finite, every 100 steps. Each side's shuffle, once an epoch, is another;
- ``samplers``: the same of DistMult with negatives of each positive's own, by sampler;
- ``run``: FB15k-237, DistMult with EMU, d = 100, so many steps, seconds and test MRR all told, with and without graphs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import emugraph
from benchmarks.emu_step import MODELS, graph
from emugraph import KnowledgeGraph, Settings
from emugraph.system import PRECISIONS, machine, with_matmul_precision
from emugraph.training.resolve import resolve_settings
from emugraph.training.trainer import Trainer

SAMPLERS: dict[str, dict[str, Any]] = {
    "uniform, each its own": {"sharing": "per-positive"},
    "uniform, filtered": {"filtered": True},
    "khop": {"sampler": "khop", "hops": 1},
    "nscaching": {"sampler": "nscaching"},
}


def measure_step(
    kg: KnowledgeGraph, graphs: bool, precision: str = "highest", steps: int = 300, **changes: Any
) -> dict[str, float]:
    """Milliseconds of a step, and how often 100 steps wait for the device."""
    settings = Settings.create({"dim": 100, "batch_size": 1000, "negatives": 256, **changes})
    trainer = Trainer(kg, settings, torch.device("cuda"))
    if graphs:
        trainer.record()
    with with_matmul_precision(precision):
        return _measure(trainer, steps)


def _measure(trainer: Trainer, steps: int) -> dict[str, float]:
    for _ in range(50):
        trainer.step()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    torch.cuda.synchronize()
    milliseconds = 1e3 * (time.perf_counter() - started) / steps
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(100):
                trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return {"step_ms": round(milliseconds, 3), "waits": sum("synchron" in str(w.message) for w in caught)}


def measure_run(steps: int, graphs: bool) -> dict[str, Any]:
    """DistMult with EMU on FB15k-237, from the first step to its test metrics."""
    kg = emugraph.load_dataset("fb15k-237")
    preset, _ = resolve_settings(kg, "distmult", {"dim": 100})
    update = {"steps": steps, "batch_size": 1000, "negatives": 256, "valid_every": steps}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = preset.model_copy(update=update)
        output = Path(folder) / "run"
        run = emugraph.train(kg, settings=settings, output=output, device="cuda", cuda_graphs=graphs)
    seconds = time.perf_counter() - started
    return {"steps": steps, "seconds": round(seconds, 1), "test_mrr": round(run.metrics["test"]["mrr"], 4)}


def _words(graphs: bool) -> str:
    return "CUDA graphs" if graphs else "step by step"


def main() -> None:
    """Measure, and print JSON or lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, Any]
    if not torch.cuda.is_available():
        results = {"skipped": "PyTorch finds no CUDA device here"}
    else:
        kg = graph()
        results = {
            f"{name}, {_words(graphs)}, {precision}": measure_step(kg, graphs, precision, model=name)
            for name in MODELS
            for graphs in (False, True)
            for precision in PRECISIONS
        }
        results["samplers"] = {
            f"{name}, {_words(graphs)}": measure_step(kg, graphs, model="distmult", **changes)
            for name, changes in SAMPLERS.items()
            for graphs in (False, True)
        }
        results["run"] = {_words(graphs): measure_run(arguments.steps, graphs) for graphs in (False, True)}
        results["machine"] = machine(torch.device("cuda"))
    if arguments.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(name, value, sep="  ")


if __name__ == "__main__":
    main()
