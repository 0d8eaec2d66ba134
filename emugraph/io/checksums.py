"""The sums by which a file is known to be the right one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from emugraph.errors import EmugraphError

ALGORITHMS = ("sha256", "md5", "git_blob")

_CHUNK = 1 << 20


class Sums(BaseModel):
    """What is known of a file's content; all that is given must match.

    Args:
        sha256: SHA-256, 64 lower-case hexadecimal digits.
        md5: MD5, 32 digits.
        git_blob: the id under which git stores the file, 40 digits: SHA-1 over "blob SIZE", a zero byte, the content.
        size: bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    git_blob: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    size: Annotated[int, Field(ge=0)] | None = None

    @property
    def algorithms(self) -> list[str]:
        """The sums that are known."""
        return [algorithm for algorithm in ALGORITHMS if getattr(self, algorithm) is not None]

    @classmethod
    def of(cls, content: bytes) -> Sums:
        """The size and SHA-256 of a content."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Sums:
        """The size and SHA-256 of a file's content. Raises OSError if it cannot be read."""
        with path.open("rb") as stream:
            return cls.of_stream(stream)

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Sums:
        """The size and SHA-256 of a stream from its beginning, which is where it stands, to its end."""
        digest = hashlib.sha256()
        for chunk in _chunks(stream):
            digest.update(chunk)
        return cls(size=stream.tell(), sha256=digest.hexdigest())

    def verify(self, path: Path) -> None:
        """Raise EmugraphError, naming the file and both sums, if a file's content is another or cannot be read."""
        try:
            with path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                self._compare(path, size, _chunks(stream))
        except OSError as error:
            raise EmugraphError(f"cannot read {path}: {error.strerror or error}") from error

    def verify_content(self, content: bytes, path: Path) -> None:
        """As :meth:`verify`, for content that was read (and decompressed) from ``path``."""
        self._compare(path, len(content), [content])

    def _compare(self, path: Path, size: int, chunks: Iterable[bytes]) -> None:
        if self.size is not None and self.size != size:
            raise _mismatch(path, "size", f"{self.size:,} bytes", f"{size:,} bytes")
        digests = {algorithm: _new(algorithm, size) for algorithm in self.algorithms}
        for chunk in chunks if digests else ():
            for digest in digests.values():
                digest.update(chunk)
        for algorithm, digest in digests.items():
            expected, actual = getattr(self, algorithm), digest.hexdigest()
            if expected != actual:
                raise _mismatch(path, algorithm, expected, actual)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(partial(stream.read, _CHUNK), b"")


def _new(algorithm: str, size: int) -> hashlib._Hash:
    if algorithm == "git_blob":
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashlib.new(algorithm, usedforsecurity=False)


def _mismatch(path: Path, what: str, expected: str, actual: str) -> EmugraphError:
    return EmugraphError(
        f"{path} is not the file that is meant: expected {what} {expected}, found {actual}; copy or download it again"
    )
