"""Labelled triples from files: tab-separated or CSV, plain or gzipped.

``.txt`` and ``.tsv`` hold one triple a line, head TAB relation TAB tail, with no quoting and no header;
``.csv`` the same columns as Python's :mod:`csv` reads them. Text is UTF-8; a byte order mark is skipped. Only
LF and CRLF end a line. A label is any string, the empty one included, and comes back unchanged: nothing is
stripped or normalised. Empty lines are allowed at the end of a file and nowhere else.

Labels become ids block by block, so that memory holds each triple as three integers and each label once: in a
:class:`LabelNumbering` while files are read, and afterwards in a :class:`Vocabulary`.
"""

from __future__ import annotations

import csv
import gzip
import io
import threading
import zlib
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emugraph.data.label_numbering import LabelNumbering
from emugraph.data.random_split import Ids, check_fractions, parse_fractions, split_rows
from emugraph.data.vocabulary import Vocabulary
from emugraph.errors import InputError
from emugraph.types import SPLITS

__all__ = ["LabelledSplits", "parse_fractions", "read_and_split", "read_files", "read_folder"]


_FORMATS = {".txt": "tsv", ".tsv": "tsv", ".csv": "csv"}
_BLOCK = 1 << 20
_ROWS = 1 << 14
_LONGEST_LINE = 1 << 26
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_SEPARATORS = bytes(set(range(256)) - set(b"\t\n"))
_FIELD_LIMIT = threading.Lock()


@dataclass(frozen=True, eq=False)
class LabelledSplits:
    """Triples as ids, and what the ids stand for.

    Labels are numbered in the order in which they first appear in train, then valid, then test; so entities
    that are not in train come last.

    Args:
        entities: the entities' labels.
        relations: the relations' labels.
        splits: for each of "train", "valid" and "test" the ids (head, relation, tail), int64 (n, 3).
    """

    entities: Vocabulary
    relations: Vocabulary
    splits: dict[str, torch.Tensor]

    @property
    def counts(self) -> dict[str, int]:
        """How many entities and relations there are, and how many triples in each split."""
        sizes = {split: len(triples) for split, triples in self.splits.items()}
        return {"entities": len(self.entities), "relations": len(self.relations), **sizes}


def read_folder(folder: Path) -> LabelledSplits:
    """Read a folder with the files train, valid and test, each .txt, .tsv or .csv, plain or with .gz.

    Raises:
        InputError: no such folder; a split with no file, with two or an empty one; an unreadable file.
    """
    files = {split: _find_split(folder, split) for split in SPLITS}
    read = read_files(files)
    for split, file in files.items():
        if not len(read.splits[split]):
            raise InputError(
                f"empty split: {file} holds no triple; to have one file of triples split, give that file and "
                "--split 0.8,0.1,0.1"
            )
    return read


def read_files(files: Mapping[str, Path], format: str | None = None) -> LabelledSplits:
    """Read the files of train, valid and test.

    Args:
        files: the file of each split.
        format: "tsv" or "csv"; where it is None, each file's name decides.

    Raises:
        InputError: a file cannot be read, is not UTF-8, or a line has not three columns.
    """
    reader = _Reader()
    splits = {split: torch.from_numpy(reader.read(files[split], format)) for split in SPLITS}
    return LabelledSplits(Vocabulary(reader.entities, "entity"), Vocabulary(reader.relations, "relation"), splits)


def read_triples(file: Path) -> list[tuple[str, str, str]]:
    """The labelled triples of one file. Raises InputError as :func:`read_files` does."""
    reader = _Reader()
    ids = reader.read(file).tolist()
    entities, relations = list(reader.entities), list(reader.relations)
    return [(entities[h], relations[r], entities[t]) for h, r, t in ids]


def read_and_split(file: Path, fractions: tuple[float, float, float], seed: int) -> LabelledSplits:
    """Read one file and split its triples at random; each entity and relation keeps a training triple.

    Where too few triples can leave train, valid and test are smaller than asked for (see ``counts``). Lines
    that repeat a triple stay in one split. Within a split, triples keep the file's order. The procedure is
    that of :func:`emugraph.data.random_split.split_rows`.

    Args:
        file: .txt, .tsv or .csv, plain or with .gz.
        fractions: the shares of train, valid and test.
        seed: the same seed gives the same splits.

    Raises:
        InputError: the shares do not fit, or the file is empty or cannot be read.
    """
    check_fractions(fractions)
    reader = _Reader()
    triples = reader.read(file)
    if not len(triples):
        raise InputError(f"{file} holds no triple; there is nothing to split")
    splits = {split: triples[rows] for split, rows in split_rows(triples, fractions, seed).items()}
    entities = _renumber(splits, [0, 2])
    relations = _renumber(splits, [1])
    return LabelledSplits(
        Vocabulary(map(list(reader.entities).__getitem__, entities), "entity"),
        Vocabulary(map(list(reader.relations).__getitem__, relations), "relation"),
        {split: torch.from_numpy(triples) for split, triples in splits.items()},
    )


def _renumber(splits: dict[str, Ids], columns: list[int]) -> list[int]:
    """Number the ids of these columns, all of which are in train, as they first appear there; in place.

    Returns:
        The old ids in the new order.
    """
    used, first = np.unique(splits["train"][:, columns], return_index=True)
    order = used[np.argsort(first)]
    new_ids = np.argsort(order)
    for triples in splits.values():
        triples[:, columns] = new_ids[triples[:, columns]]
    return order.tolist()


def _find_split(folder: Path, split: str) -> Path:
    try:
        present = {path.name for path in folder.iterdir()}
    except NotADirectoryError as error:
        raise InputError(
            f"{folder} is not a folder; give the folder that holds train, valid and test, or say how to "
            "split this one file, for example --split 0.8,0.1,0.1"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}; check the path") from error
    names = [f"{split}{suffix}{gz}" for suffix in _FORMATS for gz in ("", ".gz")]
    names = [name for name in names if name in present]
    if not names:
        wanted = ", ".join(split + suffix for suffix in _FORMATS)
        raise InputError(f"{folder} has no {split} file; looked for {wanted}, each also with .gz")
    if len(names) > 1:
        raise InputError(f"{folder} has more than one {split} file: {', '.join(names)}; leave only one there")
    return folder / names[0]


class _Reader:
    """Reads files one after the other into common ids."""

    def __init__(self) -> None:
        self.entities = LabelNumbering()
        self.relations = LabelNumbering()

    def read(self, file: Path, format: str | None = None) -> Ids:
        """The ids of a file's triples, (n, 3)."""
        rows = self._read_csv if (format or _format_of(file)) == "csv" else self._read_tsv
        ids = array("q")
        with _opened(file) as stream:
            rows(file, stream, ids)
        return np.asarray(ids).reshape(-1, 3)

    def _read_tsv(self, file: Path, stream: io.BufferedIOBase, ids: array[int]) -> None:
        for first_line, block in _blocks(file, stream):
            text = _decode(file, first_line, block)
            separators = block.translate(None, _NOT_SEPARATORS)
            if separators != b"\t\t\n" * (len(separators) // 3):
                raise _irregular_line(file, first_line, text)
            characters = np.frombuffer(block, np.uint8)
            ends = np.flatnonzero((characters == ord("\t")) | (characters == ord("\n")))
            starts = np.concatenate([[0], ends[:-1] + 1])
            heads_and_tails, relations = (
                [edges.reshape(-1, 3)[:, columns].ravel() for edges in (starts, ends)] for columns in ([0, 2], [1])
            )
            triples = np.empty((len(ends) // 3, 3), dtype=np.int64)
            triples[:, [0, 2]] = self.entities.of(block, *heads_and_tails).reshape(-1, 2)
            triples[:, 1] = self.relations.of(block, *relations)
            ids.frombytes(triples.tobytes())

    def _read_csv(self, file: Path, stream: io.BufferedIOBase, ids: array[int]) -> None:
        lines = (_decode(file, number, line) for number, line in enumerate(stream, 1))
        rows = csv.reader(lines, strict=True)
        line, empty_line = 1, 0
        labels: list[str] = []
        try:
            with _long_fields():
                for row in rows:
                    if len(row) == 3 and not empty_line:
                        labels += row
                        if len(labels) == 3 * _ROWS:
                            self._number(labels, ids)
                            labels.clear()
                    elif not row:
                        empty_line = empty_line or line
                    elif empty_line:
                        raise _wrong_columns(file, empty_line, 0, "", "commas")
                    else:
                        raise _wrong_columns(file, line, len(row), ",".join(row), "commas")
                    line = rows.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{file}, line {line}: cannot be read as CSV: {error}; put a label with a comma, a quote or "
                "a line end into quotes, and double the quotes inside"
            ) from error
        self._number(labels, ids)

    def _number(self, labels: list[str], ids: array[int]) -> None:
        """Add the triples of labels in turn: head, relation, tail, head, ..."""
        triples = np.empty((len(labels) // 3, 3), dtype=np.int64)
        triples[:, 1] = self.relations.of_labels(labels[1::3])
        del labels[1::3]
        triples[:, [0, 2]] = self.entities.of_labels(labels).reshape(-1, 2)
        ids.frombytes(triples.tobytes())


@contextmanager
def _long_fields() -> Iterator[None]:
    """Have :mod:`csv` read fields of up to _LONGEST_LINE, and afterwards as before: its limit is the whole process's.

    One file at a time, so that none puts back the limit of another.
    """
    with _FIELD_LIMIT:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, _LONGEST_LINE))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _format_of(file: Path) -> str:
    suffix = file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix
    if suffix not in _FORMATS:
        raise InputError(
            f"the name of {file} does not say its format; name it .txt or .tsv (tabs) or .csv (commas), "
            "with .gz after that if it is gzipped"
        )
    return _FORMATS[suffix]


@contextmanager
def _opened(file: Path) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, decompressed, after a byte order mark."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            if stream.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                stream.seek(0)
            yield stream
    except EOFError as error:
        raise InputError(f"{file} is cut short: its gzip data ends too early; copy or download it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{file} is not a sound gzip file: {error}; copy it again, or take .gz off its name if it is plain text"
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot read {file}: {error.strerror or error}; check the path and its permissions"
        ) from error


def _blocks(file: Path, stream: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """The first line's number and whole lines, each ended by LF, without empty lines at the file's end."""
    line, rest = 1, b""
    while chunk := stream.read(_BLOCK):
        rest += chunk
        # The last line that is not empty waits: the empty ones after it may be at the end of the file.
        block_end = rest.rfind(b"\n", 0, len(rest.rstrip(b"\r\n"))) + 1
        if block_end:
            block, rest = rest[:block_end].replace(b"\r\n", b"\n"), rest[block_end:]
            yield line, block
            line += block.count(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise InputError(f"{file}, line {line}: longer than {_LONGEST_LINE >> 20} MiB; is it a text file?")
    content_end = len(rest.rstrip(b"\r\n"))
    if content_end:
        line_end = rest.find(b"\n", content_end)
        last = rest if line_end < 0 else rest[:line_end]
        yield line, last.removesuffix(b"\r") + b"\n"


def _decode(file: Path, first_line: int, block: bytes) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + block.count(b"\n", 0, error.start)
        raise InputError(
            f"{file}, line {line}: byte 0x{block[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def _irregular_line(file: Path, first_line: int, block: str) -> InputError:
    """The error for the first line of a block that has not two tabs."""
    lines = enumerate(block.split("\n"), first_line)
    line, content = next((line, content) for line, content in lines if content.count("\t") != 2)
    return _wrong_columns(file, line, content.count("\t") + 1 if content else 0, content, "tabs")


def _wrong_columns(file: Path, line: int, columns: int, content: str, separator: str) -> InputError:
    if not columns:
        return InputError(f"{file}, line {line}: the line is empty; remove it")
    shown = repr(content if len(content) <= 80 else content[:77] + "...")
    return InputError(
        f"{file}, line {line}: {columns} column{'s' * (columns > 1)} where 3 are expected (head, relation, "
        f"tail, separated by {separator}): {shown}; correct the line, or name the file .txt or .tsv if tabs "
        "separate its columns, .csv if commas do"
    )
