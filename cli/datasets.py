"""``emugraph datasets``."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from emugraph.cli.output import guarded, note, print_json, print_table, stdout
from emugraph.errors import InputError

app = typer.Typer(help="List, show and download data sets.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A data set's name; see: emugraph datasets list")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
@guarded
def list_(json: Json = False) -> None:
    """List all data sets and where they lie.

    Example: emugraph datasets list
    """
    from emugraph import datasets

    broken = datasets.broken_cards()
    rows = []
    for card in datasets.list_cards():
        try:
            where = _text(datasets.where(card.name))
        except InputError as error:
            broken.append(error)
            continue
        rows.append({"name": card.name, "title": card.title, **card.counts.model_dump(), "where": where})
    for problem in broken:
        note(f"left out: {problem}")
    if json:
        print_json({"datasets": rows, "broken": [str(problem) for problem in broken]})
        return
    counts = ["entities", "relations", "train", "valid", "test"]
    cells = [
        [row["name"], *(_number(row[count]) for count in counts), "here" if row["where"] else "to download"]
        for row in rows
    ]
    print_table("data sets", ["name", *counts, ""], cells)


@app.command("show")
@guarded
def show(name: Name, json: Json = False) -> None:
    """Show a data set: counts, kinds of relations, degrees, licence, citation, and where it lies.

    Example: emugraph datasets show wn18rr
    """
    from emugraph import datasets

    card, place = datasets.find_card(name), datasets.where(name)
    described: dict[str, Any] = {
        "name": card.name, "title": card.title, "description": card.description, "homepage": card.homepage,
        "licence": card.licence, "citation": card.citation, "where": _text(place),
    }  # fmt: skip
    if place is None:
        described["counts"] = card.counts.model_dump()
    else:
        from emugraph import load_dataset
        from emugraph.data.statistics import describe

        described["counts"] = describe(load_dataset(card.name))
    if json:
        print_json(described)
        return
    counts = described.pop("counts")
    for part, text in described.items():
        if text:
            stdout.print(f"[bold]{part}[/]: {escape(text)}", soft_wrap=True)
    degrees, kinds = counts.pop("degrees", None), counts.pop("cardinalities", None)
    counts.pop("name", None)
    print_table("counts", ["", ""], [[_words(what), _number(count)] for what, count in counts.items()])
    if degrees is None:
        note(f"to see more: emugraph datasets download {card.name}")
        return
    rows = [[kind, _number(c["relations"]), _number(c["triples"])] for kind, c in kinds.items()]
    print_table("kinds of relations", ["", "relations", "training triples"], rows)
    print_table("training triples of an entity", ["", ""], [[_words(k), _number(v)] for k, v in degrees.items()])


@app.command("download")
@guarded
def download(name: Name, json: Json = False) -> None:
    """Download a data set into the cache and check it; nothing happens if it is there.

    Example: emugraph datasets download fb15k-237
    """
    from emugraph import datasets

    place = datasets.download(name)
    if json:
        print_json({"name": datasets.find_card(name).name, "where": str(place)})
    else:
        stdout.print(f"{escape(name)}: {escape(str(place))}", soft_wrap=True)


def _text(place: object) -> str | None:
    return None if place is None else str(place)


def _number(value: object) -> str:
    return "?" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
