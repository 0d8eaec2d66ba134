"""Where a training step's time goes, beside what the machine's limits allow.

    python -m benchmarks.step [--models distmult ...] [--rounds 15] [--json]

A step with EMU on the counts of FB15k-237: B = 1000, K = 256 shared negatives, d = 100, Adam, 2 threads. In one run, in
turn:

- ``step_ms``: the whole step;
- ``products_ms``: the matrix products that a bilinear model's step cannot do without, by PyTorch, alone: scores
  of plain and of mutated negatives, and of each the gradients of queries and negatives, six of B x K x w;
- ``share``: the latter over the former (of the distance models, which make no products, it is left out);
- ``parts_ms``: the step's parts, as ``emugraph train --profile`` counts them;
- ``gflops``, ``copy_gb_s``: the rate of such products, and that of a copy of 256 MB, read and written.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.emu_step import MODELS, graph
from benchmarks.limits import measure_limits
from benchmarks.models import measure_models
from benchmarks.timing import interleave
from emugraph import KnowledgeGraph, Profile, Settings
from emugraph.training.trainer import Trainer

B, K, D = 1000, 256, 100


def measure(kg: KnowledgeGraph, name: str, rounds: int) -> dict[str, Any]:
    """The times of one model."""
    settings = Settings(model=name, dim=D, batch_size=B, negatives=K)
    trainer, watched = (Trainer(kg, settings, torch.device("cpu")) for _ in range(2))
    width = trainer.model.entity_width
    query, negatives, gradient = torch.randn(B, width), torch.randn(K, width), torch.randn(B, K)

    def products() -> None:
        for _ in range(2):  # plain and mutated
            torch.mm(query, negatives.T)
            torch.mm(gradient, negatives)
            torch.mm(gradient.T, query)

    times = interleave({"step": (trainer.step, 10), "products": (products, 10)}, rounds)
    steps = 10 * rounds
    for _ in range(10):
        watched.step()
    profile = Profile()
    watched.section = profile.section
    for _ in range(steps):
        watched.step()
    milliseconds = times.milliseconds()
    result = {"step_ms": milliseconds["step_ms"]}
    if trainer.model.kind == "dot":
        result |= {"products_ms": milliseconds["products_ms"], "share": times.ratio("products", "step")}
        result["gflops"] = round(6 * 2 * B * K * width / milliseconds["products_ms"] / 1e6)
    parts = {part: round(1e3 * seconds / steps, 2) for part, seconds in profile.seconds.items()}
    return result | {"copy_gb_s": round(measure_limits().copy_gb_s, 1), "parts_ms": parts}


def main() -> None:
    """Measure all models and print lines, or JSON."""
    torch.set_num_threads(2)
    measure_models(__doc__, measure, MODELS, "rounds", 15, graph())


if __name__ == "__main__":
    main()
