"""How long answering many queries takes, and finding the most plausible new triples of a relation.

    python -m benchmarks.prediction [--dataset fb15k-237] [--queries 10000] [--rounds 5] [--json]

Models of d = 100 with embeddings as they start. In each round each model answers in turn, ten answers to each query,
known ones left out; times are medians over rounds, in seconds:

- ``ids``: answers as ids (:class:`emugraph.prediction.top_k.Predictor`);
- ``labels``: answers in words with probabilities (``TrainedModel.predict_tails``), probabilities fitted before;
- ``triples``: the 1,000 most plausible new triples of the relation that has most training triples, out of all pairs of
  entities, once;
- ``peak_mb``: the most memory that the process held, everything included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from emugraph import KnowledgeGraph, TrainedModel, kernels, load_dataset
from emugraph.models import MODELS
from emugraph.system import keep_freed_memory
from emugraph.types import SPLITS

NAMES = ("distmult", "complex", "transe", "rotate")


def seconds(action: Callable[[], Any]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(kg: KnowledgeGraph, queries: int, rounds: int) -> dict[str, Any]:
    """Medians for each model."""
    query_triples = kg.train[torch.randperm(len(kg.train), generator=torch.Generator().manual_seed(0))[:queries]]
    heads, relations = query_triples[:, 0].tolist(), query_triples[:, 1].tolist()
    busiest = int(torch.bincount(kg.train[:, 1]).argmax())
    trained = {name: TrainedModel(kg, MODELS[name](kg.num_entities, kg.num_relations, 100)) for name in NAMES}
    taken: dict[str, dict[str, list[float]]] = {name: {"ids": [], "labels": []} for name in NAMES}
    for model in trained.values():
        model.predict_tails(heads[:100], relations[:100], new_only=True)  # builds what is built once
    for _ in range(rounds):
        for name, model in trained.items():
            predictor = model.predictor
            taken[name]["ids"].append(seconds(lambda p=predictor: p.answer(query_triples, "tail", 10, without=SPLITS)))  # type: ignore[misc]
            taken[name]["labels"].append(
                seconds(lambda m=model: m.predict_tails(heads, relations, new_only=True))  # type: ignore[misc]
            )
    results: dict[str, Any] = {
        name: {what: round(statistics.median(values), 3) for what, values in each.items()}
        for name, each in taken.items()
    }
    for name, model in trained.items():
        results[name]["triples"] = round(seconds(lambda m=model: m.predict_triples(busiest, 1000)), 2)  # type: ignore[misc]
    return results | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fb15k-237")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    kernels.prepare()
    results = measure(load_dataset(arguments.dataset), arguments.queries, arguments.rounds)
    if arguments.json:
        print(json.dumps(results, indent=2))
        return
    for name in NAMES:
        print(name, ", ".join(f"{what} {value:.2f} s" for what, value in results[name].items()))
    print(f"peak memory {results['peak_mb']:,} MB")


if __name__ == "__main__":
    main()
