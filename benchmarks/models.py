"""The command line of a benchmark that measures one model after the other on a data set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from emugraph import KnowledgeGraph, kernels, load_dataset
from emugraph.system import keep_freed_memory


def measure_models(
    about: str | None,
    measure: Callable[[KnowledgeGraph, str, int], dict[str, Any]],
    models: Sequence[str],
    option: str,
    default: int,
    graph: KnowledgeGraph | None = None,
) -> None:
    """Parse the command line, measure each model, and print lines, or JSON with an object a model.

    Args:
        about: the benchmark's docstring.
        measure: what is measured of a model on a graph; its last argument is that of ``option``.
        models: those that are measured by default.
        option: the name of the benchmark's own number, as "steps".
        default: that number.
        graph: what is measured on; None for a data set that the command line names.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if graph is None:
        parser.add_argument("--dataset", default="wn18rr")
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    kernels.prepare()
    kg = load_dataset(arguments.dataset) if graph is None else graph
    results = {model: measure(kg, model, getattr(arguments, option)) for model in arguments.models}
    if arguments.json:
        print(json.dumps(results))
        return
    for model, result in results.items():
        print(model, *(f"{name} {value}" for name, value in result.items()), sep="  ")
