"""Taking the files of a data set out of an archive, and nothing else.

Only the files asked for are written, under their own names, whatever path the archive gives them; links, devices and
paths that lead outside are refused; what is written and what is unpacked on the way are bounded.
"""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from emugraph.datasets.card import File
from emugraph.datasets.fetch import MAX_BYTES
from emugraph.errors import EmugraphError

_CHUNK = 1 << 20

_DAMAGED = (
    EOFError,
    RuntimeError,  # zip: encrypted, or (NotImplementedError) an unknown compression
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class _Member:
    path: str
    is_regular: bool
    open: Callable[[], IO[bytes] | None]


def extract(archive: Path, files: Sequence[File], into: Path) -> None:
    """Write the named files, each from the archive's top or from one folder in it, into a folder.

    The sums are not checked here; sizes are bounded by those of the files, or else by
    :data:`emugraph.datasets.fetch.MAX_BYTES`.

    Args:
        archive: .tar.gz, .tgz, .tar.xz or .zip.
        files: what to take out.
        into: an existing folder that has none of the files.

    Raises:
        EmugraphError: a file is missing, there twice, too large, not a regular file or has an unsafe path, or the
            archive is damaged.
        OSError: the folder cannot be written to.
    """
    bound = MAX_BYTES + sum(file.size or 0 for file in files)
    missing = {file.name: file for file in files}
    names = set(missing)
    try:
        for member in _members(archive, bound):
            name = _wanted_name(archive, member, names)
            if name is None:
                continue
            if name not in missing:
                raise EmugraphError(f"{archive} holds {name} twice; it is not the archive that is meant")
            file = missing.pop(name)
            source = member.open()
            assert source is not None  # a regular file has content
            bound -= _copy(source, into / name, min(bound, file.size or MAX_BYTES), archive)
    except _DAMAGED as error:
        raise EmugraphError(f"{archive} is damaged, or no archive: {error}; copy or download it again") from error
    if missing:
        raise EmugraphError(f"{archive} does not hold {', '.join(missing)}; it is not the archive that is meant")


def _wanted_name(archive: Path, member: _Member, names: set[str]) -> str | None:
    """The name under which to write a member, or None if it is none of those that are wanted."""
    folders, _, name = member.path.removeprefix("./").rpartition("/")
    if name not in names:
        return None
    if member.path.startswith("/") or ".." in folders.split("/"):
        raise EmugraphError(f"{archive} holds {member.path!r}, which leads outside; do not use this archive")
    if "/" in folders:
        return None
    if not member.is_regular:
        raise EmugraphError(f"{archive} holds {member.path!r} as a link or device; do not use this archive")
    return name


def _copy(source: IO[bytes], target: Path, limit: int, archive: Path) -> int:
    copied = 0
    with source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            copied += len(chunk)
            if copied > limit:
                raise EmugraphError(f"{archive}: {target.name} is larger than {limit:,} bytes; do not use this archive")
            file.write(chunk)
    return copied


def _members(archive: Path, bound: int) -> Iterator[_Member]:
    """The members one after the other; each must be read before the next is asked for."""
    try:
        stream = archive.open("rb")
    except OSError as error:
        raise EmugraphError(f"cannot read {archive}: {error.strerror or error}") from error
    with stream:
        if archive.name.endswith(".zip"):
            yield from _zip_members(stream)
            return
        with lzma.open(stream) if archive.name.endswith(".xz") else gzip.open(stream) as unpacked:
            yield from _tar_members(io.BufferedReader(_Bounded(unpacked, archive, bound)))


def _tar_members(unpacked: io.BufferedReader) -> Iterator[_Member]:
    with tarfile.open(fileobj=unpacked, mode="r|") as tar:
        for info in tar:
            if not info.isdir():
                yield _Member(info.name, info.isreg() and not info.issparse(), partial(tar.extractfile, info))


def _zip_members(stream: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
                yield _Member(info.filename, kind in (0, stat.S_IFREG), partial(archive.open, info))


class _Bounded(io.RawIOBase):
    """Reads a stream up to a bound, so that what is skipped is bounded as well as what is written."""

    def __init__(self, stream: io.BufferedIOBase, archive: Path, bound: int) -> None:
        self.stream = stream
        self.archive = archive
        self.left = bound

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self.stream.read(len(buffer))
        self.left -= len(content)
        if self.left < 0:
            raise EmugraphError(f"{self.archive} unpacks to far more than the data set; do not use this archive")
        buffer[: len(content)] = content
        return len(content)
