"""Reading and writing TOML."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from emugraph.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def loads(text: str, source: str) -> dict[str, Any]:
    """Parse TOML. Raises InputError, naming the source and the line, if the text is not TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers with too many digits, too
        raise InputError(f"{source} is not valid TOML: {error}") from error


def read(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises InputError, naming file and line, if it cannot be read as TOML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid TOML: it is not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give the path of a TOML file") from error
    return loads(text, str(path))


def dumps(values: Mapping[str, Any]) -> str:
    """Values as TOML text."""
    return tomli_w.dumps(values)
