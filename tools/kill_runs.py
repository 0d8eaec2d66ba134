"""Kill training at random moments, resume it, and compare what comes out with runs that were left alone.

    python -m tools.kill_runs --kills 200 --json

Training runs in child processes, on a small graph, with a checkpoint every few steps. The file layer is slowed down, so
that many kills fall into writes. A run is killed and resumed up to three times, at moments that are uniform over its
length, and then resumed to its end; its weights and its last checkpoint must be those of the run that was left alone,
bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import emugraph
from emugraph import Checkpoints, KnowledgeGraph
from emugraph.models import MODELS
from emugraph.runs.contents import read_checkpoint
from emugraph.runs.folder import RunFolder
from emugraph.sampling import SAMPLERS

SETTINGS: dict[str, Any] = {
    "dim": 8, "batch_size": 16, "negatives": 8, "steps": 24, "valid_every": 5, "learning_rate": 0.05,
    "hops": 2, "walks": 20, "cache_size": 8,
}  # fmt: skip
KILLS_A_RUN = 3
SLOW = 0.01
"""Seconds that each flush and each renaming takes longer."""


@dataclass
class Outcome:
    """What the kills came to."""

    kills: int = 0
    while_writing: int = 0
    """Kills that left an unfinished file or folder behind."""
    before_the_first_checkpoint: int = 0
    runs: int = 0
    identical: int = 0
    """Runs whose weights and last checkpoint are, in the end, those of a run that was left alone."""


def small_graph() -> KnowledgeGraph:
    """Forty entities in a ring, with chords."""
    triples = [(f"e{i}", f"r{step}", f"e{(i + step) % 40}") for i in range(40) for step in (1, 7)]
    random.Random(0).shuffle(triples)
    return KnowledgeGraph.from_triples(triples[:64], triples[64:72], triples[72:], name="ring")


def kill_runs(kills: int, folder: Path, seed: int = 0, report: Callable[[Outcome], None] | None = None) -> Outcome:
    """Kill and resume runs until there were so many kills.

    Args:
        kills: how many.
        folder: an empty folder for the runs.
        seed: of the moments.
        report: called after each run.
    """
    torch.set_num_threads(1)  # a process with threads must not fork
    emugraph.kernels.prepare()
    chance = random.Random(seed)
    kg = small_graph()
    kinds = [(model, sampler) for model in MODELS for sampler in SAMPLERS]
    chance.shuffle(kinds)
    outcome = Outcome()
    while outcome.kills < kills:
        model, sampler = kinds[outcome.runs % len(kinds)]
        optimizer = ("adam", "lazy-adam", "adagrad", "row-adagrad")[outcome.runs % 4]
        settings = {**SETTINGS, "model": model, "sampler": sampler, "optimizer": optimizer, "seed": outcome.runs}
        whole, broken = folder / f"whole-{outcome.runs}", folder / f"broken-{outcome.runs}"
        go_on = partial(_go_on, kg, broken, settings)
        started = time.monotonic()
        _finish(_start(partial(_train, kg, whole, settings)))
        length = time.monotonic() - started
        for _ in range(min(chance.randint(1, KILLS_A_RUN), kills - outcome.kills)):
            before = set(folder.rglob("*.partial"))
            child = _start(go_on)
            time.sleep(chance.uniform(0, length))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            outcome.kills += 1
            outcome.while_writing += bool(set(folder.rglob("*.partial")) - before)
            outcome.before_the_first_checkpoint += not any((broken / "checkpoints").glob("step-*"))
        _finish(_start(go_on))
        outcome.runs += 1
        outcome.identical += _same(whole, broken)
        if report is not None:
            report(outcome)
    return outcome


def _train(kg: KnowledgeGraph, path: Path, settings: dict[str, Any]) -> None:
    emugraph.train(kg, output=path, checkpoints=Checkpoints(minutes=0, steps=4), **settings)


def _go_on(kg: KnowledgeGraph, path: Path, settings: dict[str, Any]) -> None:
    if path.exists():
        emugraph.resume(path)
    else:
        _train(kg, path, settings)


def _start(task: Callable[[], None]) -> int:
    """A child process that does a task, with slow files; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _slow_files()
        task()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _slow_files() -> None:
    fsync, replace = os.fsync, Path.replace

    def slow_fsync(handle: int) -> None:
        time.sleep(SLOW)
        fsync(handle)

    def slow_replace(self: Path, target: Path) -> Path:
        time.sleep(SLOW)
        renamed = replace(self, target)
        time.sleep(SLOW)
        return renamed

    os.fsync = slow_fsync
    Path.replace = slow_replace  # type: ignore[method-assign,assignment]


def _finish(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a child that was left alone ended with status {status}")


def _same(one: Path, other: Path) -> bool:
    if (one / "weights.safetensors").read_bytes() != (other / "weights.safetensors").read_bytes():
        return False
    (_, a), (_, b) = (read_checkpoint(RunFolder.open(path)) or ("", {}) for path in (one, other))
    return a.keys() == b.keys() and all(
        torch.equal(value, b[name]) if isinstance(value, torch.Tensor) else value == b[name]
        for name, value in a.items()
        if name != "seconds"
    )


def main() -> None:
    """Run as ``python -m tools.kill_runs``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMUGRAPH_CACHE"] = os.environ.get("EMUGRAPH_CACHE", f"{folder}/cache")
        outcome = kill_runs(
            arguments.kills, Path(folder), arguments.seed, lambda so_far: print(so_far, file=sys.stderr, flush=True)
        )
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, **asdict(outcome)}))
    raise SystemExit(outcome.identical != outcome.runs)


if __name__ == "__main__":
    main()
