"""Embeddings in files of many forms."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from emugraph.embeddings.table import PARTS, Table
from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import explain_write_errors, replacing
from emugraph.io.bounded_files import read_bounded
from emugraph.io.row_files import pyarrow
from emugraph.io.tensor_files import tensors_of, values_of, write_tensors


def write_embeddings(path: Path, tables: dict[str, Table], format: str, part: str = "entities") -> None:
    """Write embeddings to a file, whole or not at all.

    Args:
        path: the file; for "projector" a folder.
        tables: of :func:`tables_of`.
        format: "npz" (arrays ``entities``, ``entities_labels``, ``relations``, ``relations_labels``), "safetensors"
            (``entities`` and ``relations``, labels as JSON in the header), and of one part "parquet" (``label``,
            ``embedding``), "tsv" (label and numbers), "word2vec" (its text form; blanks in labels become ``_``), or
            "projector" (``vectors.tsv`` and ``metadata.tsv`` for the TensorBoard Embedding Projector).
        part: "entities" or "relations", for the formats that hold one.

    Raises:
        InputError: unknown names, or a label that the format cannot hold.
        EmugraphError: the file cannot be written.
    """
    if format not in WRITERS:
        raise InputError(f"unknown format {format!r}; known: {', '.join(WRITERS)}")
    if part not in PARTS:
        raise InputError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    if format == "projector":
        _write_projector(path, tables[part])
        return
    with replacing(path) as temporary:
        if format in ("npz", "safetensors"):
            _WHOLE[format](temporary, tables)
        else:
            _SINGLE[format](temporary, tables[part])


def _write_npz(path: Path, tables: dict[str, Table]) -> None:
    arrays = {}
    for part, table in tables.items():
        arrays[part] = table.rows.numpy()
        arrays[f"{part}_labels"] = np.array(table.labels, dtype=np.str_)
        if arrays[f"{part}_labels"].tolist() != table.labels:
            raise InputError("a label ends in a null character, which npz cannot hold; use safetensors")
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _write_safetensors(path: Path, tables: dict[str, Table]) -> None:
    rows = {part: table.rows for part, table in tables.items()}
    write_tensors(path, rows, {part: table.labels for part, table in tables.items()})


def _write_parquet(path: Path, table: Table) -> None:
    arrow = pyarrow()
    values = arrow.array(table.rows.numpy().ravel())
    embeddings = arrow.FixedSizeListArray.from_arrays(values, table.rows.shape[1])
    columns = {"label": arrow.array(table.labels, arrow.string()), "embedding": embeddings}
    arrow.parquet.write_table(arrow.table(columns), path)


def _lines(table: Table, labels: list[str], separator: str) -> Iterable[str]:
    for label, row in zip(labels, table.rows.tolist(), strict=True):
        yield separator.join([label, *(f"{value:.9g}" for value in row)]) + "\n"


def _write_tsv(path: Path, table: Table) -> None:
    _check_labels(table.labels, "\t\n\r", "tsv")
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(_lines(table, table.labels, "\t"))


def _write_word2vec(path: Path, table: Table) -> None:
    labels = ["_".join(label.split()) for label in table.labels]
    if len(set(labels)) != len(labels) or not all(labels):
        raise InputError("some labels differ in blanks alone, or have nothing else, which word2vec cannot; use tsv")
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{len(labels)} {table.rows.shape[1]}\n")
        file.writelines(_lines(table, labels, " "))


def _write_projector(path: Path, table: Table) -> None:
    names = [name or "" for name in table.names or ()]
    _check_labels([*table.labels, *names], "\t\n\r", "projector")
    with explain_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    with replacing(path / "vectors.tsv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines("\t".join(f"{value:.9g}" for value in row) + "\n" for row in table.rows.tolist())
    with replacing(path / "metadata.tsv") as temporary:
        lines = table.labels  # without a head line where there is one column, as the projector wants it
        if names:
            lines = ["label\tname", *(f"{label}\t{name}" for label, name in zip(table.labels, names, strict=True))]
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")


def _check_labels(labels: list[str], unfit: str, format: str) -> None:
    for label in labels:
        if any(character in label for character in unfit):
            raise InputError(f"the label {label!r} holds a tab or a line end, which {format} cannot; use safetensors")


_WHOLE: dict[str, Callable[[Path, dict[str, Table]], None]] = {"npz": _write_npz, "safetensors": _write_safetensors}
_SINGLE: dict[str, Callable[[Path, Table], None]] = {
    "parquet": _write_parquet, "tsv": _write_tsv, "word2vec": _write_word2vec,
}  # fmt: skip
WRITERS = {"npz": ".npz", "safetensors": ".safetensors", "parquet": ".parquet", "tsv": ".tsv", "word2vec": ".vec",
           "projector": "-projector"}  # fmt: skip
"""The formats, and how the name of a file in each ends."""


def read_embeddings(path: Path) -> dict[str, Table]:
    """Embeddings from a file of :func:`write_embeddings`, told by its ending; nothing in it is run.

    Files that hold one part are taken to hold entities. In word2vec's form (.vec, .txt) a label is a word.

    Raises:
        InputError: there is no such file, its name says no format, or a line is not a label and numbers.
        EmugraphError: it is damaged.
    """
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".parquet": _read_parquet, ".tsv": _read_text,
               ".vec": _read_text, ".txt": _read_text}  # fmt: skip
    if path.suffix not in readers:
        raise InputError(f"{path} is neither a run's folder nor a file whose name ends in {', '.join(readers)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a run's folder or a file of embeddings")
    return readers[path.suffix](path)


def _read_npz(path: Path) -> dict[str, Table]:
    if not zipfile.is_zipfile(path):
        raise EmugraphError(f"{path} is damaged, or no npz file")
    try:
        with np.load(io.BytesIO(read_bounded(path, None))) as arrays:  # loads no pickles by itself
            return {
                part: Table(arrays[f"{part}_labels"].tolist(), torch.from_numpy(arrays[part].astype(np.float32)))
                for part in PARTS
                if part in arrays
            }
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise EmugraphError(f"{path} is damaged, or holds no embeddings: {error}") from error


def _read_safetensors(path: Path) -> dict[str, Table]:
    content = read_bounded(path, None)
    labels, rows = values_of(content, path), tensors_of(content, path)
    return {part: Table(labels[part], rows[part].float()) for part in PARTS if part in rows and part in labels}


def _read_parquet(path: Path) -> dict[str, Table]:
    arrow = pyarrow()
    try:
        table = arrow.parquet.read_table(path, columns=["label", "embedding"])
        rows = np.stack(table["embedding"].to_numpy()).astype(np.float32)
        return {"entities": Table(table["label"].to_pylist(), torch.from_numpy(rows))}
    except (arrow.ArrowException, ValueError, KeyError) as error:
        raise EmugraphError(f"{path} is damaged, or holds no embeddings: {error}") from error


def _read_text(path: Path) -> dict[str, Table]:
    separator = "\t" if path.suffix == ".tsv" else " "
    labels, rows = [], []
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            if separator == " ":
                next(file, None)  # how many, and how wide
            for number, line in enumerate(file, start=1 + (separator == " ")):
                label, *values = line.rstrip("\r\n ").split(separator)
                try:
                    rows.append(np.array(values, dtype=np.float32))
                except ValueError as error:
                    raise InputError(f"{path}, line {number}: not a label and numbers: {line[:80]!r}") from error
                if len(values) != len(rows[0]) or not values:
                    raise InputError(f"{path}, line {number}: {len(values)} numbers, {len(rows[0])} in the first line")
                labels.append(label)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from error
    if not rows:
        raise InputError(f"{path} holds no embeddings")
    return {"entities": Table(labels, torch.from_numpy(np.stack(rows)))}
