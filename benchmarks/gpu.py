"""A training step and a whole run on a CUDA device; where there is none, it says so and ends well.

    python -m benchmarks.gpu [--steps 40000] [--json]

- ``step_ms``: a step with EMU (B = 1000, K = 256 shared negatives, d = 100, the counts of FB15k-237), by model, device
  synchronised before and after;
- ``waits``: how often a step made the host wait for the device, as PyTorch's synchronisation warnings count it, of 100
  steps (one is looked at on purpose: whether the loss is finite, every 100 steps);
- ``run``: FB15k-237, DistMult with EMU, d = 100, so many steps, seconds and test MRR all told.
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
from emugraph.environment import machine
from emugraph.training import Trainer, resolve_settings


def measure_step(kg: KnowledgeGraph, name: str, steps: int = 300) -> dict[str, float]:
    """Milliseconds of a step, and how often 100 steps wait for the device."""
    trainer = Trainer(kg, Settings(model=name, dim=100, batch_size=1000, negatives=256), torch.device("cuda"))
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


def measure_run(steps: int) -> dict[str, Any]:
    """DistMult with EMU on FB15k-237, from the first step to its test figures."""
    kg = emugraph.load_dataset("fb15k-237")
    preset, _ = resolve_settings(kg, "distmult", {"dim": 100})
    update = {"steps": steps, "batch_size": 1000, "negatives": 256, "valid_every": steps}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings = preset.model_copy(update=update)
        run = emugraph.train(kg, settings=settings, output=Path(folder) / "run", device="cuda")
    seconds = time.perf_counter() - started
    return {"steps": steps, "seconds": round(seconds, 1), "test_mrr": round(run.figures["test"]["mrr"], 4)}


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
        results = {name: measure_step(kg, name) for name in MODELS}
        results |= {"run": measure_run(arguments.steps), "machine": machine(torch.device("cuda"))}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(name, value, sep="  ")


if __name__ == "__main__":
    main()
