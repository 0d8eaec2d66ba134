"""``emugraph export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emugraph.cli.options import Force
from emugraph.cli.output import check_output, guarded, note, print_json
from emugraph.errors import InputError


@guarded
def export(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="npz, safetensors, parquet, tsv, word2vec or projector.")
    ] = "npz",
    part: Annotated[
        str, typer.Option("--part", help="entities or relations; npz and safetensors hold both.")
    ] = "entities",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file. [default: the run's name and the format]", show_default=False),
    ] = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a run's embeddings with their labels to a file.

    Example: emugraph export runs/my-run --format parquet -o embeddings.parquet
    """
    import emugraph
    from emugraph.cli.progress import busy
    from emugraph.embeddings.files import WRITERS, write_embeddings

    if format not in WRITERS:
        raise InputError(f"unknown format {format!r}; known: {', '.join(WRITERS)}")
    path = output if output is not None else Path(run.resolve().name + WRITERS[format])
    if path.suffix in WRITERS.values() and path.suffix != WRITERS[format]:
        raise InputError(f"{path} is named as another format than {format}; name it {path.stem}{WRITERS[format]}")
    check_output(path, force, folder=format == "projector")
    with busy(f"writing {path}"):
        opened = emugraph.load(run, device="cpu")
        tables = {name: opened.embeddings(name) for name in dict.fromkeys((part, "entities", "relations"))}
        write_embeddings(path, tables, format, part)
    shapes = {name: list(table.rows.shape) for name, table in tables.items()}
    if json:
        print_json({"run": str(run), "path": str(path), "format": format, "shapes": shapes})
    else:
        note(f"{shapes[part][0]:,} {part}, {shapes[part][1]} numbers each, in {path}")
