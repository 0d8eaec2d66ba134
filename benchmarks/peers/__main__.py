"""A training step and an evaluation, emugraph against PyKEEN and a plain PyTorch twin, in one run.

    python -m benchmarks.peers [--rounds 3] [--triples 5000] [--json]

FB15k-237, d = 100, B = 1000 positives, K = 256 negatives, Adam, 2 threads. emugraph trains with EMU on, once with 256
negatives that the batch shares, and once with 256 for each positive. PyKEEN (in a virtual environment of its own, made
from PyPI) trains without EMU, with its own loss and 256 negatives for each positive, which is all that its loop
has. They take their steps in turn, round after round, and rank the same test triples, filtered, both sides, with the
same embeddings. The twin (:mod:`benchmarks.twin`) takes its steps without EMU, with negatives of each positive's own,
and ranks the first 200 triples, counted in proportion.

- ``train``: PyKEEN's median step over emugraph's with shared negatives;
- ``train_equal``: PyKEEN's median step over emugraph's with negatives of each positive's own, as PyKEEN's are;
- ``evaluate``: PyKEEN's time to rank the triples over emugraph's median of three, two before and one after, each side's
  index of known triples included;
- ``mrr_difference``: the absolute difference of the two MRRs (ties: the mean of best and worst rank);
- ``plain_train``, ``plain_evaluate``: the same ratios of the twin;
- ``milliseconds``, ``seconds``: what the ratios are made of; ``limits``: the machine's rates of matrix products and of
  copies; ``machine``, ``versions``: where.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.limits import measure_limits
from benchmarks.peers.environment import Peer
from benchmarks.twin import PlainTrainer, plain_seconds
from emugraph import KnowledgeGraph, Settings, kernels, load_dataset
from emugraph.evaluation.ranking import evaluate
from emugraph.models import model_class
from emugraph.system import keep_freed_memory, machine, versions
from emugraph.training.trainer import Trainer

BATCH, NEGATIVES, DIM, THREADS = 1000, 256, 100, 2
STEPS, PEER_STEPS, PLAIN_TRIPLES = 50, 4, 200


def measure_training(kg: KnowledgeGraph, peer: Peer, name: str, rounds: int) -> dict[str, float]:
    """Median seconds of a step of each."""
    common: dict[str, Any] = {"model": name, "dim": DIM, "batch_size": BATCH, "negatives": NEGATIVES}
    trainers = {
        "emugraph": (Trainer(kg, Settings(**common), torch.device("cpu")), STEPS),
        "emugraph_equal": (Trainer(kg, Settings(**common, sharing="per-positive"), torch.device("cpu")), STEPS // 5),
    }
    twin = PlainTrainer(kg, name, DIM, BATCH, NEGATIVES)
    times: dict[str, list[float]] = {"emugraph": [], "emugraph_equal": [], "pykeen": [], "plain": []}
    for number in range(rounds + 1):  # the first round warms all up
        for side, (trainer, count) in trainers.items():
            started = time.perf_counter()
            for _ in range(count):
                trainer.step()
            if number:
                times[side].append((time.perf_counter() - started) / count)
        steps = peer.call("train", steps=PEER_STEPS, batch_size=BATCH, negatives=NEGATIVES)
        if number:
            times["pykeen"] += steps
        for _ in range(PEER_STEPS):
            started = time.perf_counter()
            twin.step()
            if number:
                times["plain"].append(time.perf_counter() - started)
    return {side: statistics.median(seconds) for side, seconds in times.items()}


def measure_evaluation(kg: KnowledgeGraph, peer: Peer, name: str, triples: int, folder: Path) -> dict[str, float]:
    """Seconds and MRR of both sides, with the same embeddings."""
    model = model_class(name)(kg.num_entities, kg.num_relations, DIM)
    weights = folder / f"{name}.npz"
    np.savez(weights, entities=model.entities.detach().numpy(), relations=model.relations.detach().numpy())
    peer.call("model", name=name, weights=str(weights))
    seconds: list[float] = []
    other: dict[str, float] = {}
    for side in ("emugraph", "emugraph", "peer", "emugraph"):
        started = time.perf_counter()
        if side == "peer":
            other = peer.call("evaluate", triples=triples)
        else:
            own = evaluate(model, kg, kg.test[:triples])
            seconds.append(time.perf_counter() - started)
    return {
        "emugraph": statistics.median(seconds),
        "pykeen": other["seconds"],
        "plain": plain_seconds(model, kg, kg.test[:triples], PLAIN_TRIPLES),
        "difference": abs(own["mrr"] - other["mrr"]),
        "mrr": own["mrr"],
    }


def main() -> None:
    """Measure all models and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["distmult", "transe", "complex", "rotate"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--triples", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    kernels.prepare()
    kg = load_dataset("fb15k-237")
    keys = (
        "train",
        "train_equal",
        "evaluate",
        "mrr_difference",
        "plain_train",
        "plain_evaluate",
        "milliseconds",
        "seconds",
    )
    results: dict[str, Any] = {key: {} for key in keys}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splits = {split: kg.triples(split).numpy() for split in ("train", "valid", "test")}
        np.savez(folder / "graph.npz", entities=kg.num_entities, relations=kg.num_relations, **splits)
        peer = Peer(folder / "graph.npz", THREADS)
        for model in arguments.models:
            ranked = measure_evaluation(kg, peer, model, arguments.triples, folder)
            steps = measure_training(kg, peer, model, arguments.rounds)
            results["train"][model] = round(steps["pykeen"] / steps["emugraph"], 1)
            results["train_equal"][model] = round(steps["pykeen"] / steps["emugraph_equal"], 1)
            results["evaluate"][model] = round(ranked["pykeen"] / ranked["emugraph"], 1)
            results["mrr_difference"][model] = ranked["difference"]
            results["plain_train"][model] = round(steps["plain"] / steps["emugraph"], 1)
            results["plain_evaluate"][model] = round(ranked["plain"] / ranked["emugraph"], 1)
            results["milliseconds"][model] = {side: round(1e3 * seconds, 2) for side, seconds in steps.items()}
            results["seconds"][model] = {side: round(ranked[side], 2) for side in ("emugraph", "pykeen", "plain")}
        peer_versions = peer.call("versions")
        peer.close()
    results |= {"triples": min(arguments.triples, len(kg.test)), "machine": machine(torch.device("cpu"))}
    results["versions"] = {**versions(), "peer": peer_versions}
    results["limits"] = dataclasses.asdict(measure_limits())
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'step':10}{'emugraph, negatives of each positive':>40}{'PyKEEN / emugraph':>20}")
    for model in arguments.models:
        print(f"{model:10}{results['milliseconds'][model]['emugraph_equal']:>37} ms{results['train_equal'][model]:>20}")
    for what, unit, of in (("step", "ms", "train"), ("ranking", "s", "evaluate")):
        print(f"{what:10}{'emugraph':>12}{'PyKEEN':>12}{'ratio':>8}{'plain':>12}{'ratio':>8}{'MRRs differ by':>16}")
        for model in arguments.models:
            took = results["milliseconds" if unit == "ms" else "seconds"][model]
            difference = "" if unit == "ms" else f"{results['mrr_difference'][model]:.1e}"
            print(
                f"{model:10}{took['emugraph']:>9} {unit:2}{took['pykeen']:>9} {unit:2}{results[of][model]:>8}"
                f"{took['plain']:>9} {unit:2}{results[f'plain_{of}'][model]:>8}{difference:>16}"
            )


if __name__ == "__main__":
    main()
