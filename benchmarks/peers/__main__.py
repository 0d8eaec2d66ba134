"""A training step and an evaluation, emugraph against PyKEEN, in one run.

    python -m benchmarks.peers [--rounds 3] [--triples 5000] [--json]

FB15k-237, d = 100, B = 1000 positives, K = 256 negatives, Adam, 2 threads. emugraph trains with EMU on, negatives
shared by the batch; PyKEEN (in a virtual environment of its own, made from PyPI) without, with its own loss and 256
negatives for each positive, as its training loop has them. Both take their steps in turn, round after round, and both
rank the same test triples, filtered, both sides, with the same embeddings.

- ``train``: PyKEEN's median step over emugraph's;
- ``evaluate``: PyKEEN's time to rank the triples over emugraph's median of three, two before and one after, each side's
  index of known triples included;
- ``mrr_difference``: the absolute difference of the two MRRs (ties: the mean of best and worst rank);
- ``milliseconds``, ``seconds``: what the ratios are made of; ``machine``, ``versions``: where.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers.environment import Peer
from emugraph import KnowledgeGraph, Settings, kernels, load_dataset
from emugraph.environment import keep_freed_memory, machine, versions
from emugraph.evaluation import evaluate
from emugraph.models import model_class
from emugraph.training import Trainer

BATCH, NEGATIVES, DIM, THREADS = 1000, 256, 100, 2
OUR_STEPS, THEIR_STEPS = 50, 4


def measure_training(kg: KnowledgeGraph, peer: Peer, name: str, rounds: int) -> tuple[float, float]:
    """Median seconds of a step: emugraph's and PyKEEN's."""
    trainer = Trainer(kg, Settings(model=name, dim=DIM, batch_size=BATCH, negatives=NEGATIVES), torch.device("cpu"))
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        for _ in range(OUR_STEPS):
            trainer.step()
        took = (time.perf_counter() - started) / OUR_STEPS
        steps = peer.call("train", steps=THEIR_STEPS, batch_size=BATCH, negatives=NEGATIVES)
        if number:  # the first round warms both up
            ours.append(took)
            theirs += steps
    return statistics.median(ours), statistics.median(theirs)


def measure_evaluation(kg: KnowledgeGraph, peer: Peer, name: str, triples: int, folder: Path) -> dict[str, float]:
    """Seconds and MRR of both sides, with the same embeddings."""
    model = model_class(name)(kg.num_entities, kg.num_relations, DIM)
    weights = folder / f"{name}.npz"
    np.savez(weights, entities=model.entities.detach().numpy(), relations=model.relations.detach().numpy())
    peer.call("model", name=name, weights=str(weights))
    seconds: list[float] = []
    theirs: dict[str, float] = {}
    for side in ("ours", "ours", "theirs", "ours"):
        started = time.perf_counter()
        if side == "theirs":
            theirs = peer.call("evaluate", triples=triples)
        else:
            ours = evaluate(model, kg, kg.test[:triples])
            seconds.append(time.perf_counter() - started)
    return {
        "emugraph": statistics.median(seconds),
        "pykeen": theirs["seconds"],
        "difference": abs(ours["mrr"] - theirs["mrr"]),
        "mrr": ours["mrr"],
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
    results: dict[str, Any] = {key: {} for key in ("train", "evaluate", "mrr_difference", "milliseconds", "seconds")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splits = {split: kg.triples(split).numpy() for split in ("train", "valid", "test")}
        np.savez(folder / "graph.npz", entities=kg.num_entities, relations=kg.num_relations, **splits)
        peer = Peer(folder / "graph.npz", THREADS)
        for model in arguments.models:
            ranked = measure_evaluation(kg, peer, model, arguments.triples, folder)
            ours, theirs = measure_training(kg, peer, model, arguments.rounds)
            results["train"][model] = round(theirs / ours, 1)
            results["evaluate"][model] = round(ranked["pykeen"] / ranked["emugraph"], 1)
            results["mrr_difference"][model] = ranked["difference"]
            results["milliseconds"][model] = {"emugraph": round(1e3 * ours, 2), "pykeen": round(1e3 * theirs, 1)}
            results["seconds"][model] = {side: round(ranked[side], 2) for side in ("emugraph", "pykeen")}
        theirs_versions = peer.call("versions")
        peer.close()
    results |= {"triples": min(arguments.triples, len(kg.test)), "machine": machine(torch.device("cpu"))}
    results["versions"] = {**versions(), "peer": theirs_versions}
    if arguments.json:
        print(json.dumps(results))
        return
    print(
        f"{'':10}{'step':>10}{'PyKEEN':>10}{'ratio':>8}{'ranking':>11}{'PyKEEN':>10}{'ratio':>8}{'MRR differs by':>16}"
    )
    for model in arguments.models:
        steps, seconds = results["milliseconds"][model], results["seconds"][model]
        print(
            f"{model:10}{steps['emugraph']:>7} ms{steps['pykeen']:>7} ms{results['train'][model]:>8}"
            f"{seconds['emugraph']:>9} s{seconds['pykeen']:>8} s{results['evaluate'][model]:>8}"
            f"{results['mrr_difference'][model]:>16.1e}"
        )


if __name__ == "__main__":
    main()
