"""How long a graph of millions of triples takes to read from text, and how much memory.

    python -m benchmarks.reading [--shape wikidata5m] [--gzip] [--json]

A random graph of a shape (:mod:`benchmarks.graphs`) is written as ``train.tsv``, ``valid.tsv`` and ``test.tsv``, and
read by each contender in a process of its own: ``emugraph`` is :func:`emugraph.load_dataset`; ``python`` splits each
line and gives ids by a dict; ``pandas`` is ``read_csv`` and ``factorize``, where it is installed; ``bytes`` reads the
files' bytes, and decompresses them, and is the limit. The files have just been written, so that no disk is waited for.

``seconds`` and ``rows_a_second`` are of reading alone, without imports; ``peak_mb`` is the most memory that the process
held, and ``base_mb`` what it held before it read.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.graphs import SHAPES, generate

SPLITS = ("train", "valid", "test")


def write(shape: str, folder: Path, zipped: bool) -> dict[str, int]:
    """Write a graph; the bytes of its text and its triples."""
    kg = generate(shape)
    kg.to_files(folder)
    files = [folder / f"{split}.tsv" for split in SPLITS]
    size = sum(file.stat().st_size for file in files)
    for file in files if zipped else ():
        with file.open("rb") as text, gzip.open(f"{file}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(text, packed, 1 << 20)
        file.unlink()
    return {"text_mb": round(size / 1e6), "rows": sum(kg.count(split) for split in SPLITS)}


def by_emugraph(files: list[Path]) -> int:
    """What a user calls."""
    from emugraph import load_dataset

    kg = load_dataset(files[0].parent)
    return sum(kg.count(split) for split in SPLITS)


def by_python(files: list[Path]) -> int:
    """Lists of ids, line by line."""
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    triples = []
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            for line in lines:
                head, relation, tail = line.rstrip("\n").split("\t")
                head_id = entities.setdefault(head, len(entities))
                tail_id = entities.setdefault(tail, len(entities))
                triples.append((head_id, relations.setdefault(relation, len(relations)), tail_id))
    return len(triples)


def by_pandas(files: list[Path]) -> int:
    """Columns of text, then ids."""
    import pandas

    frame = pandas.concat(
        pandas.read_csv(file, sep="\t", header=None, dtype=str, quoting=3, keep_default_na=False) for file in files
    )
    pandas.factorize(pandas.concat([frame[0], frame[2]]))
    pandas.factorize(frame[1])
    return len(frame)


def by_bytes(files: list[Path]) -> int:
    """The bytes alone."""
    rows = 0
    for file in files:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                rows += chunk.count(b"\n")
    return rows


CONTENDERS: dict[str, tuple[Callable[[list[Path]], int], str]] = {
    "emugraph": (by_emugraph, "emugraph.datasets"),
    "python": (by_python, "json"),
    "pandas": (by_pandas, "pandas"),
    "bytes": (by_bytes, "json"),
}
"""Each with the module that it has imported before."""


def measure(name: str, files: list[Path]) -> dict[str, Any]:
    """Read once."""
    from emugraph.runs.profiling import peak_memory

    contender, module = CONTENDERS[name]
    importlib.import_module(module)
    before, started = peak_memory(), time.perf_counter()
    rows = contender(files)
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 2), "rows_a_second": round(rows / seconds), "base_mb": round(before / 1e6),
        "peak_mb": round(peak_memory() / 1e6),
    }  # fmt: skip


def main() -> None:
    """Measure all contenders and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="wikidata5m")
    parser.add_argument("--gzip", action="store_true", help="read .tsv.gz")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool,
    ):
        folder = Path(name)
        results: dict[str, Any] = pool.apply(write, (arguments.shape, folder, arguments.gzip))
        files = [folder / f"{split}.tsv{'.gz' * arguments.gzip}" for split in SPLITS]
        for contender, (_, module) in CONTENDERS.items():
            if importlib.util.find_spec(module):
                results[contender] = pool.apply(measure, (contender, files))
    if arguments.json:
        print(json.dumps({"shape": arguments.shape, "gzip": arguments.gzip, **results}))
        return
    print(f"{results['rows']:,} rows, {results['text_mb']} MB of text")
    print(f"{'':10}" + "".join(f"{key:>16}" for key in results["bytes"]))
    for contender in CONTENDERS:
        if contender in results:
            print(f"{contender:10}" + "".join(f"{value:>16,}" for value in results[contender].values()))


if __name__ == "__main__":
    main()
