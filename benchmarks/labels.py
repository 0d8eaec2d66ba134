"""How long the labels of a graph of Wikidata5M's size take to load from a run's folder, and how much memory.

    python -m benchmarks.labels [--count 4600000] [--json]

Labels are like Wikidata's ("Q7594088"), readable names are two or three words; there are no triples. Each form is
loaded in a process of its own. ``own_mb`` is the size of the texts as UTF-8, ``held_mb`` by how much the process grew,
``peak_mb`` by how much it had grown at most, and ``ratio`` the peak over the texts' size. ``id_us`` is how long the id
of a label takes, in microseconds, and ``unknown_seconds`` the message for a label that is not there, with those nearest
to it. Linux alone tells the memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from pathlib import Path
from typing import Any

FORMS = ("labels", "labels and names")


def write(folder: Path, form: str, count: int) -> None:
    """Write a run's graph."""
    import torch

    from emugraph import KnowledgeGraph, Vocabulary
    from emugraph.data.label_store import Labels
    from emugraph.runs.contents import write_graph
    from emugraph.runs.folder import RunFolder

    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyzé", k=draw.randint(4, 11))) for _ in range(10_000)]
    names = Labels(" ".join(draw.choices(words, k=draw.randint(2, 3))) for _ in range(count))
    kg = KnowledgeGraph(
        Vocabulary((_label(i) for i in range(count)), "entity"),
        Vocabulary(["r"], "relation"),
        torch.empty(0, 3, dtype=torch.int64),
        entity_names=names if form == "labels and names" else None,
    )
    with RunFolder.create(folder) as run:
        write_graph(run, kg)


def _label(i: int) -> str:
    return f"Q{3 * i + 1}"


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Load a run's graph once, and look for entities."""
    from emugraph import InputError
    from emugraph.data.label_store import Labels
    from emugraph.runs.contents import read_graph
    from emugraph.runs.folder import RunFolder

    run = RunFolder.open(folder)
    before, started = _memory_mb()[0], time.perf_counter()
    kg = read_graph(run, "benchmark")
    seconds, (held, peak) = time.perf_counter() - started, _memory_mb()
    own = kg.entities.labels.nbytes + (kg.entity_names.nbytes if isinstance(kg.entity_names, Labels) else 0)
    sampled = [_label(i) for i in random.Random(0).choices(range(count), k=100_000)]
    started = time.perf_counter()
    for label in sampled:
        kg.entities.id(label)
    looked_up = time.perf_counter()
    try:
        kg.entities.id("Q75940889")
    except InputError:
        unknown = time.perf_counter() - looked_up
    return {
        "seconds": round(seconds, 1),
        "own_mb": round(own / (1 << 20), 1),
        "held_mb": round(held - before, 1),
        "peak_mb": round(peak - before, 1),
        "ratio": round((peak - before) / own * (1 << 20), 2),
        "id_us": round((looked_up - started) / len(sampled) * 1e6, 1),
        "unknown_seconds": round(unknown, 2),
    }


def _memory_mb() -> tuple[float, float]:
    """What the process holds, and the most that it held."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    held, peak = (int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return held, peak


def main() -> None:
    """Measure both forms and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4_600_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for form in FORMS:
            folder = Path(name) / form
            with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
                pool.apply(write, (folder, form, arguments.count))
                results[form] = pool.apply(measure, (folder, arguments.count))
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':18}" + "".join(f"{key:>17}" for key in results[FORMS[0]]))
    for form, result in results.items():
        print(f"{form:18}" + "".join(f"{value:>17}" for value in result.values()))


if __name__ == "__main__":
    main()
