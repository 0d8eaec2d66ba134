"""How long it takes to the EMU paper's MRR, whole: from the first step to the metrics of the best weights.

    python -m benchmarks.time_to_mrr [--models distmult complex transe rotate] [--device cpu] [--json]

FB15k-237, d = 100, EMU, the preset but for fewer steps (``--steps``, a share of the preset's), 2 threads. ``minutes``
are those of training with its validations, checkpoints and the final ranking of validation and test; ``test_mrr`` is
that of the weights with the best validation MRR, beside the paper's ``target``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import emugraph
from emugraph import KnowledgeGraph, kernels
from emugraph.reproduction.reference import read_reference
from emugraph.system import choose_device, keep_freed_memory, machine
from emugraph.training.resolve import resolve_settings

MODELS = ("distmult", "complex", "transe", "rotate")


def measure(kg: KnowledgeGraph, model: str, share: float, device: str) -> dict[str, Any]:
    """One run."""
    preset, _ = resolve_settings(kg, model, {"dim": 100})
    steps = round(share * preset.steps)
    settings = preset.model_copy(update={"steps": steps, "valid_every": -(-steps // 2)})
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = emugraph.train(kg, settings=settings, output=Path(folder) / "run", device=device)
    minutes = (time.perf_counter() - started) / 60
    return {
        "minutes": round(minutes, 2),
        "test_mrr": round(run.metrics["test"]["mrr"], 4),
        "target": read_reference()["paper"]["fb15k-237"]["100"][model]["emu"][0],
        "steps": steps,
        "ms_a_step": round(60_000 * minutes / steps, 1),
    }


def main() -> None:
    """Measure all models and print lines, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--steps", type=float, default=1.0, help="share of the preset's steps")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()
    kernels.prepare()
    kg = emugraph.load_dataset("fb15k-237")
    results: dict[str, Any] = {}
    for model in arguments.models:
        results[model] = measure(kg, model, arguments.steps, arguments.device)
        if not arguments.json:
            print(model, *(f"{key} {value}" for key, value in results[model].items()), sep="  ", flush=True)
    if arguments.json:
        print(json.dumps({**results, "machine": machine(choose_device(arguments.device))}))


if __name__ == "__main__":
    main()
