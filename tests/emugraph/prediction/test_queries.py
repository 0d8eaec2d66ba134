from __future__ import annotations

from pathlib import Path

import pytest

from emugraph import InputError
from emugraph.prediction.queries import read_queries, target_part


def test_what_is_asked() -> None:
    assert target_part(("a", "r", None)) == "tail"
    assert target_part((None, "r", 3)) == "head"
    assert target_part((0, None, 0)) == "relation"


@pytest.mark.parametrize("query", [("a", "r", "b"), (None, "r", None), ("a", "r")])
def test_queries_that_ask_for_nothing_or_too_much(query: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        target_part(query)  # type: ignore[arg-type]


def test_queries_from_files(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("a\tr\t?\n\tr\tb\na\t?\tb\na\tr\t?\n", encoding="utf-8")
    (tmp_path / "q.csv").write_text('"a, b",r,?\n?,r,c\n', encoding="utf-8")
    assert read_queries(tmp_path / "q.tsv") == [
        ("a", "r", None), (None, "r", "b"), ("a", None, "b"), ("a", "r", None),
    ]  # fmt: skip
    assert read_queries(tmp_path / "q.csv") == [("a, b", "r", None), (None, "r", "c")]


def test_a_line_that_asks_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("a\tr\t?\na\tr\tb\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2: leave out one of head, relation and tail"):
        read_queries(tmp_path / "q.tsv")
