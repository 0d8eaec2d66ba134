"""Neighbourhoods of WN18RR: time and memory to compute them, and to draw negatives from them.

    python -m benchmarks.neighbors [--rounds 15] [--json]

- ``exact_seconds``, ``exact_mb``: all entities within 3 hops of each of 40,943, by :func:`emugraph.neighbors.compute`,
  the graph being loaded; and the process's peak memory, of which ``base_mb`` was taken before;
- ``walks_seconds``, ``walks_mb``: the same with 1,000 random walks of 3 steps from each (123 million steps);
- ``draw_ratio``: drawing 1,000 x 256 candidates over drawing as many entities uniformly (``torch.randint``), 2 threads,
  median of the rounds' ratios, and ``filtered_ratio`` with training triples recognised and drawn again.

The two computations run in processes of their own, so that neither's memory counts for the other.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import torch

from benchmarks.timing import interleave
from emugraph import KnowledgeGraph, load_dataset
from emugraph.neighbors import compute
from emugraph.sampling import KHop
from emugraph.system import keep_freed_memory

COMPUTATIONS: dict[str, dict[str, int]] = {"exact": {"hops": 3}, "walks": {"hops": 3, "walks": 1000}}


def peak_mb() -> float:
    """The highest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure_one(name: str, kg: KnowledgeGraph) -> dict[str, Any]:
    """Seconds, peak memory and the number of candidates of one computation, in this process."""
    from emugraph._dgl import dgl

    kg.homogeneous  # noqa: B018  the graph, which is there in training anyway
    before = peak_mb()
    started = time.perf_counter()
    near = compute(kg, **COMPUTATIONS[name])
    took = time.perf_counter() - started
    return {
        "seconds": round(took, 2),
        "mb": round(peak_mb()),
        "base_mb": round(before),
        "candidates": len(near.candidates),
        "dgl": dgl.__version__,
    }


def measure_draws(rounds: int) -> dict[str, float]:
    """What drawing costs beside drawing uniformly."""
    kg = load_dataset("wn18rr")
    generator = torch.Generator().manual_seed(0)
    batch = kg.train[torch.randperm(len(kg.train), generator=generator)[:1000]]
    near = compute(kg, 3)
    sampler = KHop(kg, k=256, near=near)
    times = interleave(
        {
            "uniform": (lambda: torch.randint(kg.num_entities, (1000, 256), generator=generator), 20),
            "draw": (lambda: near.draw(batch[:, 0], 256, generator), 20),
            "filtered": (lambda: sampler.sample(batch, "tail", generator), 20),
        },
        rounds,
    )
    return {
        "draw_ratio": times.ratio("draw", "uniform"),
        "filtered_ratio": times.ratio("filtered", "uniform"),
        **times.milliseconds(3),
    }


def main() -> None:
    """Measure and print lines, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--one", choices=COMPUTATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()
    if arguments.one:
        print(json.dumps(measure_one(arguments.one, load_dataset("wn18rr"))))
        return
    results: dict[str, Any] = {}
    for name in COMPUTATIONS:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.neighbors", "--one", name], check=True, stdout=subprocess.PIPE
        )
        measured = json.loads(done.stdout)
        results |= {"dgl": measured.pop("dgl")} | {f"{name}_{quantity}": value for quantity, value in measured.items()}
    results |= measure_draws(arguments.rounds)
    if arguments.json:
        print(json.dumps(results))
    else:
        print(*(f"{name} {value}" for name, value in results.items()), sep="\n")


if __name__ == "__main__":
    main()
