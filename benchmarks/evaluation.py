"""How long ranking a whole test set takes, both sides, and how much memory.

    python -m benchmarks.evaluation [--dataset fb15k-237] [--dim 100] [--json]

Each model is ranked in a process of its own, with embeddings as they start: ranking does not get quicker or slower by
what is in them. ``seconds`` is the ranking alone, the index of known triples included; ``peak_mb`` is the most memory
that the process held, everything included, and ``before_mb`` what it held before it ranked.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from typing import Any

MODELS = ("distmult", "complex", "transe", "rotate")


def measure(dataset: str, model: str, dim: int) -> dict[str, Any]:
    """Rank the test set once."""
    import emugraph
    from emugraph import kernels
    from emugraph.models import MODELS as CLASSES

    kernels.prepare()
    kg = emugraph.load_dataset(dataset)
    scorer = CLASSES[model](kg.num_entities, kg.num_relations, dim)
    before = _peak_mb()
    started = time.perf_counter()
    emugraph.evaluate(scorer, kg, "test")
    return {"seconds": round(time.perf_counter() - started, 2), "before_mb": before, "peak_mb": _peak_mb()}


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Measure all models and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fb15k-237")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for model in MODELS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[model] = pool.apply(measure, (arguments.dataset, model, arguments.dim))
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':10}{'seconds':>10}{'before MB':>12}{'peak MB':>10}")
    for model, result in results.items():
        print(f"{model:10}{result['seconds']:>10}{result['before_mb']:>12}{result['peak_mb']:>10}")


if __name__ == "__main__":
    main()
