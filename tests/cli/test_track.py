"""``--track`` as a user meets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import emugraph as library
from emugraph import KnowledgeGraph

Command = Callable[..., Any]
SMALL = ("-m", "distmult", "--dim", "4", "--steps", "4", "--valid-every", "2", "--negatives", "8")


@pytest.fixture(autouse=True)
def _data(grid: KnowledgeGraph, tmp_path: Path) -> None:
    grid.to_files(tmp_path / "data")


def test_training_and_going_on(emugraph: Command) -> None:
    done = emugraph("train", "data", *SMALL, "-o", "run", "--track", "csv", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 4
    first = Path("run/metrics.csv").read_text(encoding="utf-8")
    assert "4,final/test/mrr," in first
    assert emugraph("resume", "run", "--steps", "8", "--track", "csv").returncode == 0
    second = Path("run/metrics.csv").read_text(encoding="utf-8")
    assert first.split("4,final")[0] in second
    assert "8,final/test/mrr," in second
    assert "4,final" not in second
    assert library.load("run").metrics["steps"] == 8


def test_two_trackers(emugraph: Command) -> None:
    pytest.importorskip("tensorboard")
    done = emugraph("train", "data", *SMALL, "-o", "run", "--track", "csv", "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    assert Path("run/metrics.csv").is_file()
    assert list(Path("run/tensorboard").iterdir())
    assert emugraph("evaluate", "run").returncode == 0


def test_a_name_that_is_none(emugraph: Command, run_folder: Path) -> None:
    for command in (("train", "data", *SMALL), ("resume", run_folder)):
        done = emugraph(*command, "--track", "tensorbord")
        assert (done.returncode, done.stdout) == (2, "")
        assert "unknown tracker 'tensorbord'" in done.stderr
    assert not Path("runs").exists()


def test_a_package_that_is_missing_shows_before_any_data_is_read(
    emugraph: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = emugraph("train", "no-such-data", *SMALL, "--track", "mlflow")
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: mlflow is not installed; pip install 'emugraph[trackers]'"
