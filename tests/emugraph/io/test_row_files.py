from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal, NamedTuple

import pandas
import pytest

from emugraph import InputError
from emugraph.io.row_files import write_table


class Row(NamedTuple):
    label: str
    kind: Literal["a", "b"]
    name: str | None
    count: int
    value: float | None


ROWS = [Row("x", "a", None, 1, 0.1), Row('ü, "q"', "b", "name", 2**40, None)]


def test_tsv(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", ROWS, Row)
    lines = (tmp_path / "t.tsv").read_text(encoding="utf-8").split("\n")
    assert lines == ["label\tkind\tname\tcount\tvalue", "x\ta\t\t1\t0.1", f'ü, "q"\tb\tname\t{2**40}\t', ""]


def test_csv(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [*ROWS, Row("tab\tline\n", "a", None, 0, 0.0)], Row)
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(Row._fields)
    assert rows[2] == ['ü, "q"', "b", "name", str(2**40), ""]
    assert rows[3][0] == "tab\tline\n"


def test_json_lines(tmp_path: Path) -> None:
    write_table(tmp_path / "t.jsonl", ROWS, Row)
    lines = (tmp_path / "t.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [row._asdict() for row in ROWS]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    for rows in (ROWS, []):
        write_table(tmp_path / "t.parquet", rows, Row)
        frame = pandas.read_parquet(tmp_path / "t.parquet")
        assert list(frame.columns) == list(Row._fields)
        assert frame["count"].dtype == "int64"
        assert frame["value"].dtype == "float64"
        assert frame["label"].tolist() == [row.label for row in rows]


def test_tsv_refuses_what_it_cannot_hold_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds a tab or a line end.*write \.csv"):
        write_table(tmp_path / "t.tsv", [Row("a\tb", "a", None, 0, 0.0)], Row)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_says_no_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not say its format; end it in \.tsv, "):
        write_table(tmp_path / "t.xlsx", ROWS, Row)
