"""``--track`` as a user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import emugraph as library
from emugraph import KnowledgeGraph

Command = Callable[..., Any]
SMALL = ("-m", "distmult", "--dim", "4", "--steps", "4", "--valid-every", "2", "--negatives", "8")


def test_training_and_going_on(emugraph: Command, grid: KnowledgeGraph, tmp_path: Path) -> None:
    grid.to_files(tmp_path / "data")
    done = emugraph("train", "data", *SMALL, "-o", "run", "--track", "csv", "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    first = Path("run/metrics.csv").read_text(encoding="utf-8")
    assert "4,final/test/mrr," in first
    assert list(Path("run/tensorboard").iterdir())
    assert emugraph("resume", "run", "--steps", "8", "--track", "csv").returncode == 0
    second = Path("run/metrics.csv").read_text(encoding="utf-8")
    assert first.split("4,final")[0] in second
    assert "8,final/test/mrr," in second
    assert "4,final" not in second
    assert library.load("run").figures["steps"] == 8


def test_a_name_that_is_none(emugraph: Command, grid: KnowledgeGraph, tmp_path: Path) -> None:
    grid.to_files(tmp_path / "data")
    done = emugraph("train", "data", *SMALL, "--track", "tensorbord")
    assert (done.returncode, "unknown tracker 'tensorbord'" in done.stderr) == (2, True)
    assert not Path("runs").exists()
