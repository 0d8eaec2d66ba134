"""``emugraph predict`` as a user meets it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

import emugraph as library

Command = Callable[..., Any]


def test_one_query(emugraph: Command, run_folder: Path) -> None:
    done = emugraph("predict", run_folder, "--head", "0,0", "--relation", "right", "-k", "3")
    expected = library.load(run_folder).predict_tails("0,0", "right", k=3)
    assert done.returncode == 0
    assert "0,0, right, ?" in done.stdout  # what all rows share is said once
    for answer in expected:
        assert f" {answer.tail} " in done.stdout
        assert f"{answer.score:.3f}" in done.stdout


def test_json_has_what_python_gives(emugraph: Command, run_folder: Path) -> None:
    run = library.load(run_folder)
    for options, expected in (
        (("--relation", "down", "--tail", "1,1"), run.predict_heads("down", "1,1")),
        (("--head", "0,0", "--tail", "1,1", "-k", "1"), run.predict_relations("0,0", "1,1", k=1)),
        (("--head", "0,0", "--relation", "right", "--new-only"), run.predict_tails("0,0", "right", new_only=True)),
        (("--top", "5"), run.predict_triples(top=5)),
        (("--top", "5", "--relation", "right"), run.predict_triples("right", 5)),
    ):
        done = emugraph("predict", run_folder, *options, "--json")
        assert json.loads(done.stdout)["rows"] == [row._asdict() for row in expected]


def test_splits_are_left_out_at_choice(emugraph: Command, run_folder: Path) -> None:
    query = ("--head", "0,0", "--relation", "right", "-k", "60", "--json")
    for splits in ((), ("train",), ("valid", "test")):
        options = [option for split in splits for option in ("--without", split)]
        rows = json.loads(emugraph("predict", run_folder, *query, *options).stdout)["rows"]
        assert not {row["known"] for row in rows} & set(splits)
    done = emugraph("predict", run_folder, *query, "--without", "tests")
    assert (done.returncode, "unknown split 'tests'" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["out.tsv", "out.csv", "out.jsonl", "out.parquet"])
def test_a_file_of_queries_in_and_a_table_out(emugraph: Command, run_folder: Path, tmp_path: Path, name: str) -> None:
    with (tmp_path / "queries.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("0,0", "right", "?"), ("?", "down", "1,1"), ("0,0", "?", "1,0")])
    done = emugraph("predict", run_folder, "-q", tmp_path / "queries.csv", "-k", "2", "-o", name)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"6 rows in {name}" in done.stderr
    readers = {
        ".tsv": lambda path: pandas.read_csv(path, sep="\t"),
        ".csv": pandas.read_csv,
        ".jsonl": lambda path: pandas.read_json(path, lines=True),
        ".parquet": pandas.read_parquet,
    }
    frame = readers[Path(name).suffix](tmp_path / name)
    queries = [("0,0", "right", None), (None, "down", "1,1"), ("0,0", None, "1,0")]
    expected = library.load(run_folder).predict(queries, k=2)
    assert list(frame.columns) == list(expected[0]._fields)
    for field in ("head", "relation", "tail", "target", "rank"):
        assert frame[field].tolist() == [getattr(row, field) for row in expected]
    assert frame["score"].tolist() == pytest.approx([row.score for row in expected])


def test_long_answers_are_not_all_printed(emugraph: Command, run_folder: Path) -> None:
    done = emugraph("predict", run_folder, "--head", "0,0", "--relation", "right", "-k", "60")
    assert "10 more are not printed; --output FILE or --json gives all" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give two of --head, --relation and --tail, or --queries FILE, or --top N"),
        (("--head", "0,0"), "give two of"),
        (("--head", "0,0", "--relation", "right", "--tail", "1,0"), "give two of"),
        (("--head", "0,00", "--relation", "right"), "unknown entity '0,00'. Did you mean '0,0'"),
        (("--head", "0,0", "--relation", "rihgt"), "unknown relation 'rihgt'. Did you mean 'right'"),
        (("--head", "0,0", "--relation", "right", "-k", "0"), "at least one is needed"),
        (("--top", "0"), "at least one is needed"),
        (("--top", "3", "--head", "0,0"), "leave out the other options"),
        (("-q", "q.tsv", "--head", "0,0"), "give either --queries or"),
        (("-q", "q.tsv"), "cannot read q.tsv"),
        (("--head", "0,0", "--relation", "right", "-o", "out.xls"), "does not say its format"),
    ],
)
def test_mistakes(emugraph: Command, run_folder: Path, options: tuple[str, ...], message: str) -> None:
    done = emugraph("predict", run_folder, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
