"""What was measured besides training runs, and stands in the report: kills, fuzzing, the cost of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from emugraph.errors import InputError
from emugraph.reproduction.results import content_of, object_of

CHECKS = "checks.jsonl"
"""The file, beside those of results."""


class Check(BaseModel):
    """One measurement.

    Args:
        about: what it shows, a sentence or two.
        command: what was run.
        machine: where.
        rows: a row a name, with the same columns in each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    command: str
    machine: str
    rows: dict[str, dict[str, Any]] = Field(min_length=1)


def read_checks(file: Path) -> list[Check]:
    """The measurements in a file, one a line; none where there is no such file.

    Raises:
        InputError: a line is not one; the message has its number.
        EmugraphError: the file cannot be read.
    """
    checks = []
    for number, line in enumerate(content_of(file).splitlines(), 1):
        try:
            checks.append(Check(**object_of(line)))
        except ValueError as error:  # of the JSON, its encoding, or what it holds
            raise InputError(f"{file}, line {number}: it is no measurement: {error}") from error
    return checks
