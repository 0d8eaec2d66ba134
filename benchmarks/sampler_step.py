"""One training step with negatives of each positive's own: scored where they lie, against mixed embeddings made.

    python -m benchmarks.sampler_step [--models distmult] [--rounds 9] [--json]

A step draws negatives and then goes forward, backward and updates: WN18RR, k-hop negatives (3 hops, filtered),
B = 1000, K = 256, d = 100, EMU, 2 threads. In each round both forms take their steps in turn; times are medians over
rounds, ratios are medians of a round's ratios.

- ``speedup``: the step with mixed embeddings made (B x K x w numbers) over the step that makes none;
- ``emu_cost``: the step over the same step of plain cross entropy;
- ``sampling_share``: the part of the step that draws negatives.
"""

from __future__ import annotations

import argparse
import json
from typing import Any
from unittest import mock

import torch

from benchmarks.emu_step import MODELS, materialized
from benchmarks.timing import interleave
from emugraph import KnowledgeGraph, Settings, kernels, load_dataset
from emugraph.system import keep_freed_memory
from emugraph.training.presets import PLAIN
from emugraph.training.trainer import Trainer


def measure(kg: KnowledgeGraph, name: str, rounds: int) -> dict[str, Any]:
    """Medians and ratios for one model."""
    device = torch.device("cpu")
    common: dict[str, Any] = {"model": name, "dim": 100, "batch_size": 1000, "negatives": 256}
    common |= {"sampler": "khop", "hops": 3}
    emu, slow = (Trainer(kg, Settings(**common), device) for _ in range(2))
    plain = Trainer(kg, Settings(**common, **PLAIN), device)
    batch = kg.train[:1000]

    def slow_step() -> None:
        with mock.patch("emugraph.training.trainer.negative_scores", materialized):
            slow.step()

    def draw() -> None:
        emu.sampler.sample(batch, "tail", emu.device_generator)

    times = interleave(
        {"step": (emu.step, 5), "plain": (plain.step, 5), "materialised": (slow_step, 1), "draw": (draw, 5)}, rounds
    )
    return {
        "speedup": times.ratio("materialised", "step"),
        "emu_cost": times.ratio("step", "plain"),
        "sampling_share": times.ratio("draw", "step"),
        **times.milliseconds(),
    }


def main() -> None:
    """Measure and print a table, or JSON: for DistMult alone its object, for several models one object a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", nargs="+", default=["distmult"], choices=MODELS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()  # as the command line trains
    kernels.prepare()
    kg = load_dataset("wn18rr")
    results = {name: measure(kg, name, arguments.rounds) for name in arguments.models}
    if arguments.json:
        print(json.dumps(results if len(results) > 1 else results[arguments.models[0]]))
        return
    for name, result in results.items():
        print(name, *(f"{key} {value}" for key, value in result.items()), sep="  ")


if __name__ == "__main__":
    main()
