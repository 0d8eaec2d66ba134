"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from emugraph.errors import EmugraphError


def cache_root() -> Path:
    """Where downloads and compiled kernels are kept: $EMUGRAPH_CACHE, or emugraph's folder in the user's cache."""
    given = os.environ.get("EMUGRAPH_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("emugraph")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder; on success it is flushed to disk and renamed to ``path``.

    On any failure ``path`` stays as it was and the temporary file is removed.

    Raises:
        EmugraphError: the disk is full, or the folder cannot be written to.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def explain_write_errors(path: Path, *, advice: str = "choose another folder") -> Iterator[None]:
    """Turn an operating system's error while writing ``path`` into one sentence with the next step."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EmugraphError(f"no space left while writing {path}; free some space or {advice}") from error
        raise EmugraphError(f"cannot write {path}: {error.strerror or error}; {advice}") from error
