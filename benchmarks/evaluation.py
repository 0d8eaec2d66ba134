"""How long ranking a whole test set takes, both sides, and how much memory.

    python -m benchmarks.evaluation [--dataset fb15k-237] [--dim 100] [--rounds 3] [--json]

Each model is ranked in a process of its own, with embeddings as they start: ranking does not get quicker or slower by
what is in them. In turn, medians:

- ``seconds``: the ranking alone, the index of known triples included;
- ``medium_seconds``: the same with PyTorch's precision of products at medium, where that changes anything;
- ``plain_seconds``: a plain PyTorch twin (:mod:`benchmarks.twin`), of some triples and in proportion of all;
- ``limit_seconds``: what the machine allows for the products of the distinct queries with all entities and for
  writing and reading their scores (of distances, which are no products, the latter alone);
- ``peak_mb``: the most memory that the process held when emugraph had ranked, everything included, and ``before_mb``
  what it held before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

MODELS = ("distmult", "complex", "transe", "rotate")
PLAIN_TRIPLES = 200


def measure(dataset: str, name: str, dim: int, rounds: int) -> dict[str, Any]:
    """Rank the test set in each way."""
    import emugraph
    from benchmarks.limits import measure_limits
    from benchmarks.twin import plain_seconds
    from emugraph import kernels
    from emugraph.data.answer_index import query_keys
    from emugraph.models import model_class
    from emugraph.runs.profiling import peak_memory
    from emugraph.types import SIDES

    torch.set_num_threads(2)
    kernels.prepare()
    kg = emugraph.load_dataset(dataset)
    model = model_class(name)(kg.num_entities, kg.num_relations, dim)
    before = peak_memory()
    emugraph.evaluate(model, kg, "test")
    peak = peak_memory()

    def medium() -> None:
        torch.set_float32_matmul_precision("medium")
        emugraph.evaluate(model, kg, "test")
        torch.set_float32_matmul_precision("highest")

    forms: dict[str, Callable[[], object]] = {
        "seconds": lambda: emugraph.evaluate(model, kg, "test"),
        "medium": medium,
    }
    times: dict[str, list[float]] = {form: [] for form in forms}
    plain = []
    for _ in range(rounds):
        for form, call in forms.items():
            started = time.perf_counter()
            call()
            times[form].append(time.perf_counter() - started)
        plain.append(plain_seconds(model, kg, kg.test, PLAIN_TRIPLES))
    seconds = {form: statistics.median(values) for form, values in times.items()}
    queries = sum(len(query_keys(kg.test, kg.num_relations, side).unique()) for side in SIDES)
    pairs = queries * kg.num_entities
    limits = measure_limits()
    is_product = model.kind == "dot"
    return {
        "seconds": round(seconds["seconds"], 2),
        "medium_seconds": round(seconds["medium"], 2) if is_product else None,
        "plain_seconds": round(statistics.median(plain), 1),
        "limit_seconds": round(limits.seconds(2 * pairs * model.entity_width if is_product else 0, 8 * pairs), 2),
        "before_mb": round(before / 1e6),
        "peak_mb": round(peak / 1e6),
        "gflops": round(limits.gflops),
        "copy_gb_s": round(limits.copy_gb_s, 1),
    }


def main() -> None:
    """Measure all models and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fb15k-237")
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    for model in MODELS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[model] = pool.apply(measure, (arguments.dataset, model, arguments.dim, arguments.rounds))
    if arguments.json:
        print(json.dumps(results))
        return
    columns = list(results[MODELS[0]])
    print(f"{'':10}" + "".join(f"{column:>16}" for column in columns))
    for model, result in results.items():
        print(f"{model:10}" + "".join(f"{result[column] or '':>16}" for column in columns))


if __name__ == "__main__":
    main()
