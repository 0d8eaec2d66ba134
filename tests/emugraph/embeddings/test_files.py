from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

import emugraph
from emugraph import EmugraphError, InputError
from emugraph.embeddings.files import WRITERS, read_embeddings, write_embeddings
from emugraph.embeddings.table import Table
from emugraph.runs.contents import load_embeddings

LABELS = ["plain", "two words", "ü'\"", "日本"]


@pytest.fixture
def tables() -> dict[str, Table]:
    rows = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    return {"entities": Table(LABELS, rows), "relations": Table(["r", "s"], torch.randn(2, 3))}


@pytest.mark.parametrize("format", [name for name in WRITERS if name != "projector"])
def test_what_is_written_is_read(tmp_path: Path, tables: dict[str, Table], format: str) -> None:
    path = tmp_path / f"e{WRITERS[format]}"
    write_embeddings(path, tables, format)
    actual = read_embeddings(path)
    expected = [label.replace(" ", "_") for label in LABELS] if format == "word2vec" else LABELS
    assert actual["entities"].labels == expected
    assert torch.equal(actual["entities"].rows, tables["entities"].rows)  # nine digits are enough for float32
    whole = format in ("npz", "safetensors")
    assert ("relations" in actual) == whole
    if whole:
        assert actual["relations"].labels == ["r", "s"]
        assert torch.equal(actual["relations"].rows, tables["relations"].rows)


def test_relations_alone(tmp_path: Path, tables: dict[str, Table]) -> None:
    write_embeddings(tmp_path / "r.tsv", tables, "tsv", "relations")
    assert read_embeddings(tmp_path / "r.tsv")["entities"].labels == ["r", "s"]


def test_forms_that_others_read(tmp_path: Path, tables: dict[str, Table]) -> None:
    rows = tables["entities"].rows
    write_embeddings(tmp_path / "e.npz", tables, "npz")
    with np.load(tmp_path / "e.npz") as arrays:
        assert arrays["entities_labels"].tolist() == LABELS
        assert np.array_equal(arrays["entities"], rows.numpy())
    write_embeddings(tmp_path / "e.parquet", tables, "parquet")
    frame = pandas.read_parquet(tmp_path / "e.parquet")
    assert frame["label"].tolist() == LABELS
    assert np.array_equal(np.stack(frame["embedding"]), rows.numpy())
    write_embeddings(tmp_path / "e.vec", tables, "word2vec")
    lines = (tmp_path / "e.vec").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "4 5"
    assert lines[2].split(" ")[0] == "two_words"
    assert [float(value) for value in lines[2].split(" ")[1:]] == pytest.approx(rows[1].tolist())


def test_the_projector_has_two_files(tmp_path: Path, tables: dict[str, Table]) -> None:
    write_embeddings(tmp_path / "p", tables, "projector")
    vectors = (tmp_path / "p" / "vectors.tsv").read_text(encoding="utf-8").splitlines()
    assert [float(value) for value in vectors[3].split("\t")] == pytest.approx(tables["entities"].rows[3].tolist())
    assert (tmp_path / "p" / "metadata.tsv").read_text(encoding="utf-8").splitlines() == LABELS
    named = Table(["a", "b"], torch.zeros(2, 2), ["Ann", None])
    write_embeddings(tmp_path / "p", {"entities": named}, "projector")
    assert (tmp_path / "p" / "metadata.tsv").read_text(encoding="utf-8") == "label\tname\na\tAnn\nb\t\n"


def test_a_runs_folder(run_folder: Path) -> None:
    run = emugraph.load(run_folder)
    actual = load_embeddings(run_folder)
    assert actual["entities"].labels == run.kg.entities.labels
    assert torch.equal(actual["relations"].rows, run.model.relations)


@pytest.mark.parametrize(
    ("labels", "format", "message"),
    [
        (["a\tb", "c"], "tsv", "holds a tab or a line end"),
        (["a\nb", "c"], "projector", "holds a tab or a line end"),
        (["a b", "a_b"], "word2vec", "differ in blanks alone"),
        ([" ", "a"], "word2vec", "differ in blanks alone"),
        (["a\0", "b"], "npz", "ends in a null character"),
        (["a", "b"], "xlsx", "unknown format 'xlsx'; known: npz, "),
    ],
)
def test_labels_and_formats_that_do_not_fit(tmp_path: Path, labels: list[str], format: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_embeddings(tmp_path / "out", {"entities": Table(labels, torch.zeros(2, 2))}, format)
    assert not (tmp_path / "out").is_file()
    with pytest.raises(InputError, match="unknown part"):
        write_embeddings(tmp_path / "out", {}, "tsv", "nodes")


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("e.tsv", b"a\t1\t2\nb\t1\n", InputError, "line 2: 1 numbers, 2 in the first line"),
        ("e.tsv", b"a\t1\tx\n", InputError, "line 1: not a label and numbers"),
        ("e.vec", b"2 2\na 1 2\nb 1 two\n", InputError, "line 3: not a label and numbers"),
        ("e.tsv", b"", InputError, "holds no embeddings"),
        ("e.tsv", b"\xff\t1\n", InputError, "not UTF-8"),
        ("e.npz", b"PK\x03\x04nothing", EmugraphError, "damaged"),
        ("e.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", EmugraphError, "damaged"),
        ("e.parquet", b"PAR1nothing", EmugraphError, "damaged"),
        ("e.bin", b"", InputError, "neither a run's folder nor a file"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, kind: type[Exception], message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=message):
        read_embeddings(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        read_embeddings(tmp_path / "nowhere.npz")


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(tmp_path / "e.npz", entities=np.zeros((1, 2)), entities_labels=np.array([Bomb()], dtype=object))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("e.npz", "p.npz"):
        with pytest.raises(EmugraphError, match="damaged"):
            read_embeddings(tmp_path / name)
    assert not (tmp_path / "exploded").exists()
