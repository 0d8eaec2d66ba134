"""Writing files and folders so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from emugraph.errors import EmugraphError, InputError

_SECONDS_UNTIL_LEFT_OVER = 24 * 3600


def cache_root() -> Path:
    """Where downloads, neighbourhoods and kernels are kept: $EMUGRAPH_CACHE, or emugraph in the user's cache."""
    value = os.environ.get("EMUGRAPH_CACHE")
    return Path(value).expanduser() if value else platformdirs.user_cache_path("emugraph")


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
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            _flush_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask; read where the system tells it, since to ask by setting it opens other threads' files."""
    try:
        for line in Path("/proc/self/status").read_bytes().splitlines():
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _flush_folder(folder: Path) -> None:
    """Have the names in a folder on disk, so that a file renamed there is still there after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


@contextmanager
def building(target: Path, is_sound: Callable[[Path], bool]) -> Iterator[Path]:
    """A new folder beside ``target``, which becomes ``target`` at once when the block ends without an error.

    Where another process makes the same folder meanwhile, the one that is there first stays if it is sound. What a
    killed process leaves behind is removed a day later.

    Raises:
        EmugraphError: the cache cannot be written to, or the disk is full.
    """
    with _unpublished(target, "set EMUGRAPH_CACHE to another folder") as folder:
        yield folder
        _publish(folder, target, is_sound)


@contextmanager
def creating(target: Path) -> Iterator[Path]:
    """A new folder beside ``target``, which becomes ``target`` at once when the block ends without an error.

    Raises:
        InputError: there is something at ``target`` that is not an empty folder.
        EmugraphError: the folder cannot be written to, or the disk is full.
    """
    with _unpublished(target, "choose another folder") as folder:
        yield folder
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise InputError(f"{target} already exists; choose another folder") from error
            raise
        _flush_folder(target.parent)


@contextmanager
def _unpublished(target: Path, advice: str) -> Iterator[Path]:
    """An empty folder beside ``target``, removed at the end if it still has its name."""
    with explain_write_errors(target, advice=advice):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(target.parent)
        folder = _unfinished(target)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _unfinished(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")


def _publish(folder: Path, target: Path, is_sound: Callable[[Path], bool]) -> None:
    while True:
        try:
            folder.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if is_sound(target):
            return
        # Damaged: out of the way with it, unless another process was quicker to do that.
        aside = _unfinished(target)
        try:
            target.rename(aside)
        except FileNotFoundError:
            continue
        shutil.rmtree(aside, ignore_errors=True)


def _remove_left_overs(folder: Path) -> None:
    limit = time.time() - _SECONDS_UNTIL_LEFT_OVER
    for path in folder.glob(f".*.{'[0-9a-f]' * 32}.partial"):
        try:
            newest = max(part.stat().st_mtime for part in (path, *path.rglob("*")))
        except FileNotFoundError:
            continue  # another process has just finished with it
        if newest < limit:
            shutil.rmtree(path, ignore_errors=True)
