"""``emugraph info``."""

from __future__ import annotations

from typing import Annotated

import typer

from emugraph.cli.output import guarded, print_json, print_table


@guarded
def info(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Print versions, devices and folders: what to put into a bug report.

    Example: emugraph info
    """
    from emugraph.info import describe

    described = describe()
    if json:
        print_json(described)
        return
    for part, values in described.items():
        print_table(part, ["", ""], [[name, str(value)] for name, value in values.items()])
