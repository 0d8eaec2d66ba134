"""``emugraph report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emugraph.cli.options import Force
from emugraph.cli.output import check_output, guarded, note
from emugraph.errors import InputError


@guarded
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs on one graph; the map is of the first.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file.")] = Path("report.html"),
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "test",
    force: Force = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Write a report on one or more runs: one HTML file, to be looked at in a browser, without a network.

    Example: emugraph report runs/plain runs/emu -o report.html
    """
    import emugraph
    from emugraph.cli.progress import counting
    from emugraph.report import write_report

    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output} is not named as an HTML file; name it {output.stem}.html")
    check_output(output, force)
    opened = [emugraph.load(run, device=device) for run in runs]
    with counting("ranking", sum(2 * run.kg.count(split) for run in opened)) as advance:
        write_report(opened, output, split=split, advance=advance)
    note(f"report: {output}")
