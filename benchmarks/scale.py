"""What a large graph costs: a step, an epoch, memory in training, memory and time in evaluation, random walks.

    python -m benchmarks.scale [--shape wikidata5m] [--optimizer lazy-adam] [--json]

DistMult with EMU, d = 100, B = 1000, K = 256 shared negatives, 2 threads, on a random graph with the shape of
Wikidata5M (:mod:`benchmarks.graphs`), or of another one.

- ``step_ratio``: a training step there over one on the shape of FB15k-237, both taken in turn in one process, after as
  many steps as it takes for rows to come back (``steps``: milliseconds of both, by optimizer);
- ``epoch_seconds``: ``epoch_steps`` such steps, so many as pass once over the training triples; where they are more
  than 2,000 so many are timed, and the epoch reckoned from them;
- ``train_peak_mb``: the most memory that a process held which trained, validated and wrote checkpoints, held against
  ``train_limit_mb``: 1.2 x (weights + optimizer state) + 500 MB;
- ``evaluate_peak_mb``: the most that a process held which opened that run and ranked test triples on both sides, held
  against ``evaluate_limit_mb``: weights + 500 MB;
- ``graph_mb``: what the graph takes in training (triples as 64-bit numbers, labels); ``..._seconds``: what each part
  took;
- ``khop_walks``: seconds and memory of candidates by random walks as in :mod:`benchmarks.neighbors`, in a process of
  its own, of up to a million entities.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.graphs import SHAPES, generate
from benchmarks.timing import interleave

if TYPE_CHECKING:
    from emugraph import KnowledgeGraph
    from emugraph.training.trainer import Trainer

COMMON: dict[str, Any] = {"model": "distmult", "dim": 100, "batch_size": 1000, "negatives": 256}
THREADS = 2
ROWS_A_STEP = 2256
MOST_STEPS = 2000
MOST_WALKED = 1_000_000


def measure_steps(shape: str, optimizers: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """By optimizer the milliseconds of a step on the small and on the large graph, and their ratio."""
    _prepare()
    graphs = {"small": generate("fb15k-237"), "large": generate(shape)}
    results = {}
    for optimizer in optimizers:
        trainers = {size: _trainer(kg, optimizer) for size, kg in graphs.items()}
        for size, trainer in trainers.items():
            for _ in range(min(2500, 20 + graphs[size].num_entities // ROWS_A_STEP)):
                trainer.step()
        times = interleave({size: (trainer.step, 20) for size, trainer in trainers.items()}, rounds)
        results[optimizer] = {"step_ratio": times.ratio("large", "small"), **times.milliseconds()}
    return results


def measure_epoch(shape: str, optimizer: str) -> dict[str, float]:
    """Seconds of one epoch's steps."""
    _prepare()
    kg = generate(shape)
    steps = math.ceil(kg.count("train") / COMMON["batch_size"])
    times = interleave({"step": (_trainer(kg, optimizer).step, min(steps, MOST_STEPS))}, rounds=1)
    return {"epoch_steps": steps, "epoch_seconds": steps * times.seconds["step"][0]}


def _prepare() -> None:
    from emugraph import kernels
    from emugraph.system import keep_freed_memory

    torch.set_num_threads(THREADS)
    keep_freed_memory()
    kernels.prepare()


def _trainer(kg: KnowledgeGraph, optimizer: str) -> Trainer:
    from emugraph import Settings
    from emugraph.training.trainer import Trainer

    return Trainer(kg, Settings(**COMMON, optimizer=optimizer, learning_rate=0.001), torch.device("cpu"))


def measure_walks(shape: str) -> dict[str, Any]:
    """Candidates by random walks."""
    from benchmarks.neighbors import measure_one

    torch.set_num_threads(THREADS)
    return measure_one("walks", generate(shape))


def measure_training(shape: str, optimizer: str, steps: int, folder: str) -> dict[str, Any]:
    """Train for some steps, with a validation, a checkpoint and final metrics."""
    import emugraph
    from emugraph import Settings
    from emugraph.runs.profiling import peak_memory

    torch.set_num_threads(THREADS)
    kg = generate(shape, held_out=100)
    before = peak_memory()
    seen: dict[str, int] = {}

    class Look(emugraph.Callback):
        def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
            states = trainer.optimizer.state.values()
            seen["weights"] = sum(table.nbytes for table in trainer.model.parameters())
            seen["state"] = sum(value.nbytes for state in states for value in state.values())

    settings = Settings(**COMMON, optimizer=optimizer, learning_rate=0.001, steps=steps, valid_every=steps)
    started = time.perf_counter()
    emugraph.train(
        kg, settings=settings, output=folder, callbacks=[Look()], checkpoints=emugraph.Checkpoints(steps=steps)
    )
    seconds = time.perf_counter() - started
    limit = 1.2 * (seen["weights"] + seen["state"]) + 500e6
    graph = sum(kg.triples(split).nbytes for split in ("train", "valid", "test")) + kg.entities.labels.nbytes
    return {
        "train_peak_mb": _mb(peak_memory()), "train_limit_mb": _mb(limit), "weights_mb": _mb(seen["weights"]),
        "state_mb": _mb(seen["state"]), "graph_mb": _mb(graph), "generated_peak_mb": _mb(before),
        "train_seconds": seconds,
    }  # fmt: skip


def measure_evaluation(folder: str, triples: int) -> dict[str, Any]:
    """Open a run and rank some of its training triples as test triples."""
    import emugraph
    from emugraph.runs.profiling import peak_memory

    torch.set_num_threads(THREADS)
    started = time.perf_counter()
    run = emugraph.load(folder, device="cpu")
    loaded = time.perf_counter()
    emugraph.evaluate(run.model, run.kg, next(run.kg.pieces("train"))[:triples])
    weights = sum(table.nbytes for table in run.model.parameters())
    return {
        "evaluate_peak_mb": _mb(peak_memory()), "evaluate_limit_mb": _mb(weights + 500e6),
        "load_seconds": loaded - started, "evaluate_seconds": time.perf_counter() - loaded, "evaluated": triples,
    }  # fmt: skip


def _mb(count: float) -> int:
    return round(count / 1e6)


def _alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    """Measure and print lines, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="wikidata5m")
    parser.add_argument("--optimizer", default="lazy-adam", help="of the step ratio and of training")
    parser.add_argument(
        "--optimizers", nargs="*", default=["row-adagrad", "adagrad", "adam"], help="steps of others too"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="training steps whose memory is measured")
    parser.add_argument("--triples", type=int, default=5000, help="how many are ranked")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        results = _alone(measure_training, arguments.shape, arguments.optimizer, arguments.steps, run)
        print(results, file=sys.stderr)
        results |= _alone(measure_evaluation, run, arguments.triples)
        print(results, file=sys.stderr)
    optimizers = list(dict.fromkeys([arguments.optimizer, *arguments.optimizers]))
    steps = _alone(measure_steps, arguments.shape, optimizers, arguments.rounds)
    results |= _alone(measure_epoch, arguments.shape, arguments.optimizer)
    if SHAPES[arguments.shape][0] <= MOST_WALKED:
        results["khop_walks"] = _alone(measure_walks, arguments.shape)
    results = {"step_ratio": steps[arguments.optimizer]["step_ratio"], **results, "steps": steps}
    results = {"shape": arguments.shape, "optimizer": arguments.optimizer} | {
        name: round(value, 2) if isinstance(value, float) else value for name, value in results.items()
    }
    if arguments.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:20}{value}")


if __name__ == "__main__":
    main()
