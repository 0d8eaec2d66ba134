"""``emugraph evaluate`` and ``emugraph compare`` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import emugraph as library
from emugraph import KnowledgeGraph
from emugraph.evaluation.comparison import compare

Command = Callable[..., Any]


@pytest.mark.parametrize("by", ["relation", "side", "category", "frequency"])
def test_groups(emugraph: Command, run_folder: Path, by: str) -> None:
    expected = library.load(run_folder).rankings("valid").by(by)
    done = emugraph("evaluate", run_folder, "--by", by, "--split", "valid", "--json")
    assert json.loads(done.stdout)["groups"] == expected
    shown = emugraph("evaluate", run_folder, "--by", by, "--split", "valid").stdout
    for row in expected:
        assert f" {row['group']} " in shown
        assert f"{row['low']:.3f}-{row['high']:.3f}" in shown


def test_probabilities(emugraph: Command, run_folder: Path) -> None:
    expected = library.load(run_folder).reliability()
    actual = json.loads(emugraph("evaluate", run_folder, "--by", "probability", "--json").stdout)
    assert {name: actual[name] for name in expected} == expected
    done = emugraph("evaluate", run_folder, "--by", "probability")
    assert f"{expected['bins'][0]['observed']:.4f}" in done.stdout
    assert "expected calibration error" in done.stderr


def test_relations(emugraph: Command, run_folder: Path) -> None:
    actual = json.loads(emugraph("evaluate", run_folder, "--relations", "--json").stdout)
    assert actual["mrr"] == library.load(run_folder).evaluate_relations()["mrr"]
    assert "│ relations │" in emugraph("evaluate", run_folder, "--relations").stdout


def test_given_negatives(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    false = [("0,0", "right", "5,5"), ("9,5", "down", "0,0")]
    for name in ("test.tsv", "valid.tsv"):
        (tmp_path / name).write_text("".join("\t".join(t) + "\n" for t in false), encoding="utf-8")
    options = ("--negatives", tmp_path / "test.tsv", "--valid-negatives", tmp_path / "valid.tsv")
    expected = library.load(run_folder).classify(false, false)
    actual = json.loads(emugraph("evaluate", run_folder, *options, "--json").stdout)
    assert {name: actual[name] for name in expected} == expected
    shown = emugraph("evaluate", run_folder, *options).stdout
    assert f"{expected['auc_pr']:.4f}" in shown
    assert "accuracy" in shown
    assert "accuracy" not in emugraph("evaluate", run_folder, *options[:2]).stdout


def test_comparing_two_runs(emugraph: Command, run_folder: Path, grid: KnowledgeGraph, tmp_path: Path) -> None:
    library.train(grid, "transe", output=tmp_path / "other", dim=8, steps=20, valid_every=10)
    runs = [library.load(path) for path in (run_folder, tmp_path / "other")]
    expected = compare(*(run.rankings() for run in runs), changed=3)
    actual = json.loads(emugraph("compare", run_folder, tmp_path / "other", "--changed", "3", "--json").stdout)
    assert actual["mrr"] == expected["mrr"]
    assert [row["first"] for row in actual["changed"]] == [row["first"] for row in expected["changed"]]
    assert actual["changed"][0]["head"] == grid.entities[expected["changed"][0]["head"]]
    done = emugraph("compare", run_folder, tmp_path / "other", "--changed", "3")
    assert f"{expected['mrr']['difference']:+.4f}" in done.stdout
    assert f"{expected['better']} better" in done.stderr
    assert "what changed most" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--by", "relations"), "unknown groups 'relations'; known: relation, "),
        (("--by", "relation", "--relations"), "give one of"),
        (("--by", "relation", "--ties"), "--ties go with the plain metrics"),
        (("--by", "probability", "--raw"), "--raw and --ties"),
        (("--valid-negatives", "x.tsv"), "goes with --negatives"),
        (("--negatives", "nowhere.tsv"), "cannot read nowhere.tsv"),
        (("--by", "side", "--split", "tests"), "unknown split 'tests'"),
    ],
)
def test_mistakes(emugraph: Command, run_folder: Path, options: tuple[str, ...], message: str) -> None:
    done = emugraph("evaluate", run_folder, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
