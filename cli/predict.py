"""``emugraph predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emugraph.cli.options import Force
from emugraph.cli.output import check_output, guarded, note, print_json, print_table
from emugraph.errors import InputError

if TYPE_CHECKING:
    from emugraph.prediction.queries import NewTriple, Prediction

SHOWN = 50
"""Rows that are printed as a table."""


@guarded
def predict(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    head: Annotated[str | None, typer.Option("--head", help="The head, by its label or name.")] = None,
    relation: Annotated[str | None, typer.Option("--relation", help="The relation.")] = None,
    tail: Annotated[str | None, typer.Option("--tail", help="The tail.")] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            "-q",
            help="A file of many (.tsv, .csv): head, relation, tail, with ? for the target.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Answers for each query.")] = 10,
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            help="Find so many most plausible new triples, of --relation or of all relations.",
            show_default=False,
        ),
    ] = None,
    new_only: Annotated[bool, typer.Option("--new-only", help="Leave out known answers.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="Leave out answers of train, valid or test; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to a file: .tsv, .csv, .jsonl or .parquet.", show_default=False),
    ] = None,
    force: Force = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Answer queries: what is the tail, the head, or the relation? Or find the most plausible new triples.

    Example: emugraph predict runs/my-run --head 02084071 --relation _hypernym --new-only
    """
    import emugraph
    from emugraph.cli.progress import counting, prepare
    from emugraph.io.row_files import table_format, write_table
    from emugraph.prediction.queries import NewTriple, Prediction, read_queries

    parts = [part for part in (head, relation, tail) if part is not None]
    if top is not None:
        if head is not None or tail is not None or queries is not None or new_only or without:
            raise InputError("--top finds new triples of --relation, or of all relations; leave out the other options")
    elif queries is not None:
        if parts:
            raise InputError("give either --queries or one query's --head, --relation and --tail")
    elif len(parts) != 2:
        raise InputError("give two of --head, --relation and --tail, or --queries FILE, or --top N")
    if output is not None:
        table_format(output)
    check_output(output, force)
    batch = read_queries(queries) if queries is not None else [(head, relation, tail)]
    if not batch:
        raise InputError(f"{queries} holds no queries")
    prepare()
    opened = emugraph.load(run, device=device)
    rows: list[Prediction] | list[NewTriple]
    if top is not None:
        count = 1 if relation is not None else opened.kg.num_relations
        with counting("heads", 2 * count * opened.kg.num_entities) as advance:
            rows = opened.predict_triples(relation, top, advance=advance)
    else:
        with counting("queries", len(batch)) as advance:
            rows = opened.predict(batch, k, new_only=new_only, without=without or (), advance=advance)
    if output is not None:
        write_table(output, rows, Prediction if top is None else NewTriple)
        note(f"{len(rows):,} rows in {output}")
    if json:
        print_json({"run": str(run), "rows": [row._asdict() for row in rows]})
    elif output is None:
        _print(rows)


def _print(rows: Sequence[Prediction | NewTriple]) -> None:
    """Print the first rows as a table; what all of them share goes into its title."""
    last = ["probability", "known"] if not rows or hasattr(rows[0], "known") else ["P(tail)", "P(head)"]
    triples = [(_named(row.head, row.head_name), row.relation, _named(row.tail, row.tail_name)) for row in rows[:SHOWN]]
    shared = [len(triples) > 1 and len(set(column)) == 1 for column in zip(*triples, strict=True)] or [False] * 3
    title = (
        ", ".join(part if same else "?" for part, same in zip(triples[0], shared, strict=True)) if any(shared) else ""
    )
    columns = [name for name, same in zip(("head", "relation", "tail"), shared, strict=True) if not same]
    cells = [
        [part for part, same in zip(triple, shared, strict=True) if not same]
        + [f"{row.score:.3f}"]
        + ["" if value is None else value if isinstance(value, str) else f"{value:.3f}" for value in row[-2:]]
        for triple, row in zip(triples, rows[:SHOWN], strict=True)
    ]
    print_table(title, [*columns, "score", *last], cells, texts=len(columns))
    if len(rows) > SHOWN:
        note(f"{len(rows) - SHOWN:,} more are not printed; --output FILE or --json gives all")


def _named(label: str, name: str | None) -> str:
    return label if name is None or name == label else f"{label} ({name})"
