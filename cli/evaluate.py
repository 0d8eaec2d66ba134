"""``emugraph evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emugraph.cli.output import guarded, print_figures, print_json


@guarded
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder that training wrote.")],
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "test",
    raw: Annotated[bool, typer.Option("--raw", help="Keep other known answers among the candidates.")] = False,
    ties: Annotated[bool, typer.Option("--ties", help="Show ties broken for and against the model too.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Rank a split with a trained model and print the figures.

    Example: emugraph evaluate runs/my-run --split test
    """
    import emugraph
    from emugraph.cli.progress import counting

    opened = emugraph.load(run, device=device)
    with counting("ranking", 2 * len(opened.kg.triples(split))) as advance:
        figures = opened.evaluate(split, filtered=not raw, ties=ties, advance=advance)
    if json:
        print_json({"run": str(run), "dataset": opened.kg.name, "split": split, **figures})
    else:
        kind = "raw" if raw else "filtered"
        print_figures(f"{opened.kg.name}, {split}, {kind}, {figures['triples']:,} triples", figures)
