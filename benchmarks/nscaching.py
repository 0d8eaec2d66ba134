"""NSCaching's caches after training: how hard their entities are, and what they take.

    python -m benchmarks.nscaching [--dataset wn18rr] [--models transe distmult] [--steps 2000] [--json]

A model is trained with negatives from the caches (B = 1000, K = 50 of each positive's own, N1 = N2 = 50, plain cross
entropy). Then, for 2,000 training triples and either side, scores of cached entities are compared with those of as many
uniform ones, with the weights as they are:

- ``cached_above``: the share of pairs of a cached and a uniform entity in which the cached one scores higher;
- ``cached_mean``, ``uniform_mean``, ``positive_mean``: mean scores;
- ``cache_mb``: what all caches take, which does not grow with the steps, and ``queries``, of which each has one.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.models import measure_models
from emugraph import KnowledgeGraph, Settings
from emugraph.sampling import NSCaching
from emugraph.training.presets import PLAIN
from emugraph.training.trainer import Trainer
from emugraph.types import SIDES


def measure(kg: KnowledgeGraph, model: str, steps: int) -> dict[str, Any]:
    """Train and compare."""
    settings = Settings(model=model, sampler="nscaching", negatives=50, steps=steps, learning_rate=0.01, **PLAIN)
    trainer = Trainer(kg, settings, torch.device("cpu"))
    for _ in range(steps):
        trainer.step()
    assert isinstance(trainer.sampler, NSCaching)
    generator = torch.Generator().manual_seed(1)
    triples = kg.train[torch.randperm(len(kg.train), generator=generator)[:2000]]
    above, means = [], []
    for side in SIDES:
        cached = trainer.score(triples, trainer.sampler.sample(triples, side, generator), side)
        uniform = torch.randint(kg.num_entities, (len(triples), 50), generator=generator)
        plain = trainer.score(triples, uniform, side)
        true = trainer.score(triples, triples[:, [2 if side == "tail" else 0]], side)
        above.append((cached.unsqueeze(2) > plain.unsqueeze(1)).float().mean().item())
        means.append([scores.mean().item() for scores in (cached, plain, true)])
    cached_mean, uniform_mean, positive_mean = (round(sum(pair) / 2, 3) for pair in zip(*means, strict=True))
    return {
        "cached_above": round(sum(above) / 2, 3),
        "cached_mean": cached_mean,
        "uniform_mean": uniform_mean,
        "positive_mean": positive_mean,
        "cache_mb": round(trainer.sampler.nbytes / 1e6, 1),
        "queries": sum(len(cache) for cache in trainer.sampler.caches.values()),
        "steps": steps,
    }


if __name__ == "__main__":
    measure_models(__doc__, measure, ["transe", "distmult"], "steps", 2000)
