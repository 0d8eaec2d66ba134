"""Results on disk: a file of JSON lines, one a finished run, that is only ever added to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import explain_write_errors
from emugraph.reproduction.cells import RunKey
from emugraph.training.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class Result(BaseModel):
    """A finished run: what it was, its metrics on test, and what it was made with."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, populate_by_name=True)

    dataset: str
    model: str
    sampler: str
    method: str
    dim: int
    seed: int
    steps: int
    seconds: Annotated[float, Field(ge=0)]  # of training and validation
    mrr: Share
    hits_at_1: Share = Field(alias="hits@1")
    hits_at_3: Share = Field(alias="hits@3")
    hits_at_10: Share = Field(alias="hits@10")
    valid_mrr: Share | None
    version: str
    machine: str
    settings: dict[str, Any]

    @property
    def key(self) -> RunKey | None:
        """What :attr:`Cell.key` is to a cell; None where the settings are not those of this version.

        A setting that came after the run takes its default, which is what the run did without it.
        """
        try:
            return self.dataset.casefold(), self.sampler, Settings.create(self.settings)
        except InputError:
            return None


def read_results(path: Path) -> list[Result]:
    """All results in a file, oldest first; none if there is no such file.

    The last line may be half written, by a process that was killed; it is left out.

    Raises:
        InputError: another line is damaged.
        EmugraphError: the file cannot be read.
    """
    lines = content_of(path).split(b"\n")
    results = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                results.append(Result(**object_of(line)))
        except ValueError as error:  # of the JSON, its encoding, or what it holds
            if number < len(lines):
                raise InputError(
                    f"{path}, line {number} is damaged: {_sentence(error)}; mend or remove that line"
                ) from error
    return results


def append_result(path: Path, result: Result) -> None:
    """Add a result to a file, on a line of its own and safely on disk.

    Raises:
        EmugraphError: the disk is full, or the file cannot be written.
    """
    text = json.dumps(result.model_dump(mode="json", by_alias=True), ensure_ascii=False, allow_nan=False)
    with explain_write_errors(path, advice="choose another file with --results"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _end_with_a_whole_line(path)
        with path.open("ab", buffering=0) as file:  # one write, so that no other process's line comes between
            file.write(f"{text}\n".encode())
            os.fsync(file.fileno())


def by_run(results: Iterable[Result]) -> dict[RunKey, Result]:
    """The results by what was run; of several for the same run, the latest."""
    return {key: result for result in results if (key := result.key) is not None}


def _end_with_a_whole_line(path: Path) -> None:
    """Take off a half-written last line, or end a whole one."""
    content = content_of(path)
    start = content.rfind(b"\n") + 1
    if start == len(content):
        return
    try:
        Result(**object_of(content[start:]))
    except ValueError:
        os.truncate(path, start)
    else:
        with path.open("ab") as file:
            file.write(b"\n")


def content_of(path: Path) -> bytes:
    """What is in a file; nothing if there is no such file. Raises EmugraphError if it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise EmugraphError(f"cannot read {path}: {error.strerror}") from error


def object_of(line: bytes) -> dict[str, Any]:
    """The JSON object of a line. Raises ValueError if it is none."""
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _sentence(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return str(error)
