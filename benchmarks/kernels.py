"""The fused kernels beside what one would write in PyTorch.

    python -m benchmarks.kernels [--json] [--compile] [--threads 2] [--rounds 15]

Contenders take turns, round after round, and each reports the median (and the least) of its times, so that a machine
that slows down for a while slows all of them; one that has used up three seconds rests. Times are in milliseconds.
``--compile`` adds ``torch.compile``, which itself takes a minute or two.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from emugraph import kernels
from emugraph.kernels import eager

B, K, D = 1000, 256, 100  # training: positives, negatives, units
QUERIES, ENTITIES = 500, 14_541  # evaluation on FB15k-237

Job = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--compile", action="store_true", help="add torch.compile to the contenders")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    compiled_in = kernels.prepare()
    machine = f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}"
    results = {name: race(jobs, options.rounds) for name, jobs in contests(options.compile)}
    if options.json:
        measured = {"machine": machine, "kernels": kernels.status(), "compile_seconds": compiled_in}
        print(json.dumps(measured | {"milliseconds": results}, indent=2))
        return
    print(machine, kernels.status(), sep="\n")
    if compiled_in is not None:
        print(f"compiled in {compiled_in:.1f} s")
    for name, times in results.items():
        print(f"\n{name}")
        for contender, (median, least) in times.items():
            print(f"  {contender:28s} {median:9.2f}  (least {least:.2f})")


def race(jobs: dict[str, Job], rounds: int) -> dict[str, tuple[float, float]]:
    """Median and least time of each job in milliseconds."""
    for job in jobs.values():
        job()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            if sum(times[name]) > 3000:
                continue
            start = time.perf_counter()
            job()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: (statistics.median(t), min(t)) for name, t in times.items()}


def contests(with_compile: bool) -> list[tuple[str, dict[str, Job]]]:
    measured = []
    for distance in kernels.KINDS:
        measured += [training(distance, with_compile), mutation(distance, with_compile)]
        if distance != "dot":
            measured.append(mixup(distance))
    measured += [evaluation(distance) for distance in kernels.KINDS]
    measured += [gathering(distance) for distance in kernels.KINDS]
    return [*measured, counting(), beside_a_product()]


def materialised(q: Tensor, e: Tensor, distance: str) -> Tensor:
    """The scores as one would first write them: a difference for each query, candidate and component."""
    return eager.link(eager.components(q[:, None], e, distance).sum(-1), distance)


def materialised_mutation(q: Tensor, e: Tensor, positive: Tensor, mask: Tensor, distance: str) -> tuple[Tensor, Tensor]:
    """Plain scores, and scores of mutated embeddings made as Eq. 2 says."""
    if distance == "modulus":
        mask = mask.repeat(1, 2)
    mutated = torch.where(mask, positive[:, None], e)  # (B, K, w)
    scores = eager.link(eager.components(q[:, None], mutated, distance).sum(-1), distance)
    return materialised(q, e, distance), scores


def rows(count: int, distance: str) -> Tensor:
    return torch.randn(count, 2 * D if distance == "modulus" else D).requires_grad_()


def step(function: Callable[..., Tensor | tuple[Tensor, ...]], *arguments: object) -> Job:
    """Forward and backward."""
    inputs = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    gradient = torch.randn(B, K)

    def job() -> None:
        outputs = function(*arguments)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        torch.autograd.grad(outputs, inputs, [gradient] * len(outputs))

    return job


def training(distance: str, with_compile: bool) -> tuple[str, dict[str, Job]]:
    q, e = rows(B, distance), rows(K, distance)
    jobs = {
        "kernels": step(kernels.pairwise, q, e, distance),
        "materialised": step(materialised, q, e, distance),
    }
    if distance != "modulus":
        jobs["torch.cdist"] = step(eager.pairwise, q, e, distance)
    if with_compile:
        jobs["torch.compile"] = step(torch.compile(materialised), q, e, distance)
    return f"forward and backward, {distance}, B = {B}, K = {K}, {D} units", jobs


def mutation(distance: str, with_compile: bool) -> tuple[str, dict[str, Job]]:
    q, e, positive, mask = rows(B, distance), rows(K, distance), rows(B, distance), torch.rand(K, D) < 0.61
    jobs = {
        "kernels": step(kernels.pairwise_masked, q, e, positive, mask, distance),
        "factorised in PyTorch": step(eager.pairwise_masked, q, e, positive, mask, distance, 1),
        "materialised": step(materialised_mutation, q, e, positive, mask, distance),
    }
    if with_compile:
        jobs["torch.compile"] = step(torch.compile(eager.pairwise_masked), q, e, positive, mask, distance, 1)
    return f"plain and mutated scores, forward and backward, {distance}, B = {B}, K = {K}, {D} units", jobs


def mixup(distance: str) -> tuple[str, dict[str, Job]]:
    q, e, positive, weight = rows(B, distance), rows(K, distance), rows(B, distance), torch.rand(K)
    return f"plain and mixed-up scores, forward and backward, {distance}, B = {B}, K = {K}, {D} units", {
        "kernels": step(kernels.pairwise_mixed, q, e, positive, weight, distance),
        "plain scores alone": step(kernels.pairwise, q, e, distance),
        "materialised": step(eager.pairwise_mixed, q, e, positive, weight, distance),
    }


def evaluation(distance: str) -> tuple[str, dict[str, Job]]:
    q, e = rows(QUERIES, distance).detach(), rows(ENTITIES, distance).detach()
    return f"forward, {distance}, {QUERIES} queries x {ENTITIES} entities, {D} units", {
        "kernels": lambda: kernels.pairwise(q, e, distance),
        "PyTorch" if distance == "modulus" else "torch.cdist": lambda: eager.pairwise(q, e, distance),
    }


def gathering(distance: str) -> tuple[str, dict[str, Job]]:
    q, table, positive = rows(B, distance), rows(ENTITIES, distance), rows(B, distance)
    index, mask = torch.randint(ENTITIES, (B, K)), kernels.pack_mask(torch.rand(B, K, D) < 0.61)
    name = f"negatives of each positive, forward and backward, {distance}, B = {B}, K = {K} of {ENTITIES}, {D} units"
    return name, {
        "kernels": step(kernels.gathered, q, table, index, distance),
        "kernels, with mutated": step(kernels.gathered_masked, q, table, index, positive, mask, distance),
        "PyTorch": step(eager.gathered, q, table, index, distance),
    }


def counting() -> tuple[str, dict[str, Job]]:
    scores = torch.randn(QUERIES, ENTITIES)
    truth = scores[:, 7].clone()
    return f"count_better, {QUERIES} x {ENTITIES}", {
        "kernels": lambda: kernels.count_better(scores, truth),
        "PyTorch": lambda: eager.count_better(scores, truth, None),
    }


def beside_a_product() -> tuple[str, dict[str, Job]]:
    """Two OpenMP runtimes would spin against each other: the pair would take longer than the two alone."""
    q, e = rows(B, "l1").detach(), rows(K, "l1").detach()
    x, y = torch.randn(1000, 1000), torch.randn(1000, 500)
    return "a matrix product and l1 scores, one after the other (sum of both = no interference)", {
        "product alone": lambda: [x @ y for _ in range(10)],
        "scores alone": lambda: [kernels.pairwise(q, e, "l1") for _ in range(10)],
        "both in turns": lambda: [(x @ y, kernels.pairwise(q, e, "l1")) for _ in range(10)],
    }


if __name__ == "__main__":
    main()
