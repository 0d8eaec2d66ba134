"""What was measured besides training runs, and stands in the report: kills, fuzzing, the cost of checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emugraph.errors import InputError

CHECKS = "checks.jsonl"
"""The file, beside those of results."""


class Check(BaseModel):
    """One measurement.

    Args:
        about: what it shows, a sentence or two.
        command: what was run.
        machine: where.
        figures: a row a name, with the same columns in each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    command: str
    machine: str
    figures: dict[str, dict[str, Any]] = Field(min_length=1)


def read_checks(file: Path) -> list[Check]:
    """The measurements in a file, one a line; none where there is no such file.

    Raises:
        InputError: a line is not one; the message has its number.
    """
    if not file.is_file():
        return []
    checks = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            checks.append(Check(**json.loads(line)))
        except (ValueError, TypeError, ValidationError) as error:
            raise InputError(f"{file}, line {number}: it is no measurement: {error}") from error
    return checks
