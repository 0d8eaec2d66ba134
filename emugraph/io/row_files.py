"""Rows of plain values as files: TSV, CSV, JSON lines or parquet, by the file's name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

from emugraph.errors import InputError
from emugraph.io.atomic import replacing

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


def table_format(path: Path) -> str:
    """The format that a file's name stands for. Raises InputError if it stands for none, or its library is missing."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the name of {path} does not say its format; end it in {', '.join(FORMATS)}")
    form = FORMATS[path.suffix.lower()]
    if form == "parquet":
        pyarrow()
    return form


def write_table(path: Path, rows: Iterable[tuple[Any, ...]], kind: type[tuple[Any, ...]]) -> None:
    """Write rows, whole or not at all.

    TSV and CSV have a line of column names first, and nothing where a value is None; TSV has no quoting.

    Args:
        path: the file; its ending says the format.
        rows: named tuples.
        kind: their class, whose fields are the columns, of str, int or float or None.

    Raises:
        InputError: the name says no format, or TSV cannot hold a value (a tab or a line end).
        EmugraphError: the file cannot be written.
    """
    form, columns = table_format(path), _columns(kind)
    with replacing(path) as temporary:
        if form == "parquet":
            arrow = pyarrow()
            types = {str: arrow.string(), int: arrow.int64(), float: arrow.float64()}
            schema = arrow.schema([(name, types[column]) for name, column in columns.items()])
            values = list(zip(*rows, strict=True)) or [()] * len(columns)
            arrays = [arrow.array(list(v), type=field.type) for v, field in zip(values, schema, strict=True)]
            arrow.parquet.write_table(arrow.table(arrays, schema=schema), temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            if form == "jsonl":
                for row in rows:
                    file.write(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n")
            elif form == "csv":
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(rows)
            else:
                file.write("\t".join(columns) + "\n")
                file.writelines("\t".join(_tsv(value, path) for value in row) + "\n" for row in rows)


def _columns(kind: type) -> dict[str, type]:
    """The names and types of a named tuple's fields, None left out; literals are texts."""
    columns = {}
    for name, hint in get_type_hints(kind).items():
        options = [option for option in get_args(hint) or (hint,) if option is not type(None)]
        columns[name] = options[0] if isinstance(options[0], type) else str
    return columns


def _tsv(value: Any, path: Path) -> str:
    text = "" if value is None else str(value)
    if any(character in text for character in "\t\n\r"):
        raise InputError(f"{text!r} holds a tab or a line end, which {path.suffix} cannot; write .csv")
    return text


def pyarrow() -> Any:
    """The module, with its part for parquet. Raises InputError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("pyarrow is not installed; pip install 'emugraph[parquet]'") from error
    return pyarrow
