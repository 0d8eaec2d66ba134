"""``emugraph analyze`` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import emugraph as library
from emugraph.analysis import negative_clouds, negative_similarities

Command = Callable[..., Any]


def test_similarity(emugraph: Command, run_folder: Path) -> None:
    options = ("--positives", "20", "--negatives", "5")
    expected = negative_similarities(library.load(run_folder), positives=20, k=5).summary()
    assert json.loads(emugraph("analyze", "similarity", run_folder, *options, "--json").stdout)["cosine"] == expected
    done = emugraph("analyze", "similarity", run_folder, *options, "-o", "figure.png")
    assert f"{expected['emu']['mean']:.3f}" in done.stdout
    assert Path("figure.png").stat().st_size > 5000


def test_pca(emugraph: Command, run_folder: Path) -> None:
    triple = ("--head", "3,3", "--relation", "right", "--tail", "4,3")
    expected = negative_clouds(library.load(run_folder), ("3,3", "right", "4,3"), k=9)
    actual = json.loads(emugraph("analyze", "pca", run_folder, *triple, "--negatives", "9", "--json").stdout)
    assert actual["measures"] == expected.measures
    assert actual["triple"] == ["3,3", "right", "4,3"]
    done = emugraph("analyze", "pca", run_folder, "-o", "figure.svg")
    assert "isotropy" in done.stdout
    assert "drawn around: " in done.stderr
    assert Path("figure.svg").is_file()


def test_bars(emugraph: Command) -> None:
    results = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "paper.jsonl"
    actual = json.loads(emugraph("analyze", "bars", results, "--json").stdout)
    mrr = actual["mrr"]["FB15k-237"]
    assert mrr["uniform, EMU"]["DistMult"] > mrr["uniform, plain"]["DistMult"]
    assert "FB15k-237, d = 100, test MRR" in emugraph("analyze", "bars", results, "-o", "bars.pdf").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("similarity", "RUN", "-o", "figure.jpg"), "does not say its format"),
        (("pca", "RUN", "--head", "3,3"), "give --head, --relation and --tail, or none"),
        (("similarity", "nowhere"), "is not a run folder"),
        (("bars", "nowhere.jsonl"), "there are no results"),
        (("similarity", "RUN", "--mutation-rate", "2"), "the mutation rate is 2.0"),
    ],
)
def test_mistakes(emugraph: Command, run_folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = emugraph("analyze", *(run_folder if argument == "RUN" else argument for argument in arguments))
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
