"""How long each command takes on WN18RR, from the shell and back.

    python -m benchmarks.commands [--steps 1000] [--json]

A run of ComplEx (the preset, with fewer steps) is trained in a temporary folder; the other commands then use it, once
each. Figures are seconds by the clock, start of Python and reading of the run's folder included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = (
    "info",
    "datasets list",
    "datasets show wn18rr",
    "neighbors precompute wn18rr --hops 3",
    "neighbors stats wn18rr --hops 3",
    "train wn18rr --model complex --steps STEPS -o run",
    "resume run",
    "evaluate run",
    "evaluate run --by relation",
    "evaluate run --by probability",
    "evaluate run --relations",
    "compare run run",
    "predict run --head dog.n.01 --relation _hypernym",
    "predict run --relation _hypernym --top 1000 -o new.csv",
    "similar run dog.n.01",
    "export run --format parquet",
    "report run",
    "analyze similarity run -o similarity.png",
    "analyze pca run -o pca.png",
    "tune wn18rr --model distmult --trials 2 --steps 100",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seconds_by_command = {}
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            line = command.replace("STEPS", str(arguments.steps))
            started = time.perf_counter()
            subprocess.run(
                [str(Path(sys.executable).parent / "emugraph"), *line.split()],
                cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            seconds_by_command[line] = round(time.perf_counter() - started, 1)
            if not arguments.json:
                print(f"{seconds_by_command[line]:7.1f} s  emugraph {line}", flush=True)
    if arguments.json:
        print(json.dumps(seconds_by_command, indent=2))


if __name__ == "__main__":
    main()
