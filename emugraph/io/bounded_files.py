"""Opening files that come from outside: regular files alone, and no larger than they may be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from emugraph.errors import EmugraphError
from emugraph.system import format_bytes, usable_memory


def read_bounded(path: Path, largest: int | None) -> bytes:
    """A file's content.

    Args:
        path: the file.
        largest: bytes that it may have; None for a quarter of the memory.

    Raises:
        EmugraphError: it cannot be read, or is larger.
    """
    with open_bounded(path, usable_memory() // 4 if largest is None else largest) as file:
        return file.read(os.fstat(file.fileno()).st_size)


@contextmanager
def open_bounded(path: Path, largest: int | None) -> Iterator[BinaryIO]:
    """A file to be read. Raises EmugraphError if it cannot be, or has more bytes than ``largest``."""
    try:
        # Without waiting, should it be a pipe; and all checks are of the open file, since the name may change its file.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise EmugraphError(f"cannot read {path}: it is not a file")
            if largest is not None and status.st_size > largest:
                raise EmugraphError(
                    f"{path} is damaged: it is larger than the {format_bytes(largest)} that it may have"
                )
            yield file
    except OSError as error:
        raise EmugraphError(f"cannot read {path}: {error.strerror}") from error
