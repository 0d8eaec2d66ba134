from __future__ import annotations

from pathlib import Path

import pytest

from emugraph import InputError, KnowledgeGraph, load_dataset


def test_triples_and_frames_come_back(family: KnowledgeGraph) -> None:
    assert family.to_triples("valid") == [("cat", "parent", "dan")]
    frame = family.to_pandas("test")
    assert list(frame.columns) == ["head", "relation", "tail"]
    assert frame.to_numpy().tolist() == [["dan", "sibling", "eve"], ["ann", "parent", "bob"]]
    assert KnowledgeGraph.from_triples(family.to_pandas()).train.tolist() == family.train.tolist()


@pytest.mark.parametrize("format", ["tsv", "csv"])
def test_files_come_back(format: str, family: KnowledgeGraph, tmp_path: Path) -> None:
    family.to_files(tmp_path / "out", format)
    back = load_dataset(tmp_path / "out")
    assert [back.to_triples(s) for s in ("train", "valid", "test")] == [
        family.to_triples(s) for s in ("train", "valid", "test")
    ]


def test_csv_takes_any_label_and_tsv_says_so(tmp_path: Path) -> None:
    awkward = [
        ("tab\there", "r,1", '\ufeffa"b'),
        ("carriage\rreturn", "", " spaces "),
        ("", "line\nend", "\u2028"),
        ("nan", "NULL", "x" * 10_000),
    ]
    kg = KnowledgeGraph.from_triples(awkward, awkward[:1], awkward[1:])
    kg.to_files(tmp_path / "out", "csv")
    assert load_dataset(tmp_path / "out").to_triples("train") == awkward
    with pytest.raises(InputError, match=r"'tab\\there' holds a tab, a line end or a byte order mark; use csv"):
        kg.to_files(tmp_path / "tsv")
    assert not (tmp_path / "tsv").exists()
