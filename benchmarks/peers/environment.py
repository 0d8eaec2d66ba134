"""PyKEEN in a virtual environment of its own, made from PyPI when it is first needed, and a process that runs in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from emugraph.io.atomic import cache_root

PYKEEN = "1.11.1"


def interpreter() -> Path:
    """The Python of PyKEEN's environment, with the PyTorch that emugraph runs with; a minute or two the first time."""
    version = torch.__version__.split("+")[0]
    folder = cache_root() / "peers" / f"pykeen-{PYKEEN}-torch-{version}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        print(f"installing PyKEEN {PYKEEN} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        wanted = [f"pykeen=={PYKEEN}", f"torch=={version}"]
        subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], check=True)
        finished.touch()
    return python


class Peer:
    """A process with PyKEEN that does what it is told.

    Args:
        arrays: the file of the graph; see :mod:`benchmarks.peers.pykeen_side`.
        threads: PyTorch's.
    """

    def __init__(self, arrays: Path, threads: int) -> None:
        script = Path(__file__).with_name("pykeen_side.py")
        self._process = subprocess.Popen(
            [str(interpreter()), str(script), str(arrays), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, method: str, **arguments: Any) -> Any:
        """What a method of the other side returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": method, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"PyKEEN's process ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
