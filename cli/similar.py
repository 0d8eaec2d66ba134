"""``emugraph similar``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emugraph.cli.output import guarded, print_json, print_table


@guarded
def similar(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    entity: Annotated[str, typer.Argument(help="An entity's label, or its name where only one has it.")],
    k: Annotated[int, typer.Option("-k", help="How many entities.")] = 10,
    measure: Annotated[
        str, typer.Option("--measure", help="cosine, or model: the model's own distance or product.")
    ] = "cosine",
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the entities most similar to an entity.

    Example: emugraph similar runs/my-run 02084071
    """
    import emugraph

    opened = emugraph.load(run, device=device)
    rows = opened.similar(entity, k, measure=measure)
    if json:
        print_json({"run": str(run), "measure": measure, "rows": [row._asdict() for row in rows]})
        return
    kg = opened.kg
    cells = [[kg.display(kg.entity_id(row.other)), f"{row.similarity:.4f}"] for row in rows]
    print_table(f"like {kg.display(kg.entity_id(entity))}, by {measure}", ["", "similarity"], cells)
