"""``emugraph tune`` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emugraph import KnowledgeGraph

Command = Callable[..., Any]
SMALL = ("-m", "distmult", "--dim", "4", "--steps", "4", "--valid-every", "2", "--batch-size", "32", "--negatives", "8")


@pytest.fixture
def data(grid: KnowledgeGraph, tmp_path: Path) -> Path:
    grid.to_files(tmp_path / "data")
    return tmp_path / "data"


def test_a_study_ends_in_a_preset_that_training_takes(emugraph: Command, data: Path) -> None:
    options = ("--trials", "3", "--storage", "sqlite:///s.db", "-o", "best.toml", "--plots", "plots", "--json")
    done = emugraph("tune", data, *SMALL, *options)
    assert done.returncode == 0, done.stderr
    actual = json.loads(done.stdout)
    assert actual["measured"]["trials"] == 3
    assert done.stderr.count("valid MRR") >= 1
    assert "trial 3: " in done.stderr
    assert Path("plots/history.png").is_file()
    text = Path("best.toml").read_text(encoding="utf-8")
    assert 'command = "emugraph tune ' in text
    again = emugraph("tune", data, *SMALL, "--trials", "3", "--storage", "sqlite:///s.db")
    assert "trial " not in again.stderr  # all are made
    assert f"validation MRR {actual['measured']['valid_mrr']:.4f}" in again.stdout
    trained = emugraph("train", data, "--preset", "best.toml", "-o", "run", "--json")
    assert trained.returncode == 0, trained.stderr
    assert round(json.loads(trained.stdout)["valid"]["mrr"], 4) == actual["measured"]["valid_mrr"]


def test_mistakes(emugraph: Command, data: Path) -> None:
    for options, message in (
        (("--trials", "0"), "at least one is needed"),
        (("--storage", "nothing"), "nothing cannot keep a study"),
        (("--model", "transee"), "unknown model 'transee'"),
    ):
        done = emugraph("tune", data, *SMALL, *options)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
