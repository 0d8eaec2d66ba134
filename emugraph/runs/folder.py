"""A run's folder on disk: each file whole, known by its checksum, and written by one process at a time.

::

    manifest.json        the format, and size and SHA-256 of each file
    config.toml          data set, every setting that ran, and when checkpoints are written
    graph/               entities.json, relations.json, names.json, triples.safetensors
    weights.safetensors  the embeddings, those of the best validation
    checkpoints/         step-N.safetensors: all that training needs to go on after step N
    log.jsonl            one line a training record and a line a validation; not in the manifest
    metrics.json         the final metrics
    calibration.json     probabilities of answers, as fitted on validation
    environment.json     versions and machine

A folder holds all that is needed to use the model: labels and triples too.

A file that is replaced stands in the manifest with its old and its new checksum from before it is renamed until after,
so that whoever is killed in between leaves a sound folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import filelock
from pydantic import TypeAdapter, ValidationError

from emugraph.errors import EmugraphError, InputError
from emugraph.io.atomic import creating, explain_write_errors, replacing, write_text
from emugraph.io.bounded_files import open_bounded, read_bounded
from emugraph.io.checksums import Sums

FORMAT = 3
"""Version of the folder's form. Format 1 had no manifest and no checkpoints; it can be read, but not resumed. Format 2
had other names, see :mod:`emugraph.runs.old_formats`; it can be read and resumed."""

_WITH_MANIFEST = (2, FORMAT)

MANIFEST, CONFIG, WEIGHTS = "manifest.json", "config.toml", "weights.safetensors"
LOG, METRICS, ENVIRONMENT = "log.jsonl", "metrics.json", "environment.json"
CALIBRATION = "calibration.json"

_LARGEST_MANIFEST = 1 << 20
_LARGEST_CONFIG = 1 << 20
_READS = 100
T = TypeVar("T")
_GIVE = "give the folder that training wrote"
_FILES = TypeAdapter(dict[str, list[Sums]])
_CHECKPOINT = re.compile(r"checkpoints/step-(\d{1,12})\.safetensors")


class RunFolder:
    """The files of a run.

    Args:
        path: the folder.
        files: for each file the sums that it may have, or None for a folder of format 1, which has no manifest.
    """

    def __init__(self, path: Path, files: dict[str, list[Sums]] | None) -> None:
        self.path = path
        self._files = files

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A folder that training wrote.

        Raises:
            InputError: there is no such folder, or it is not a run's.
            EmugraphError: it is of a later version, or its manifest is damaged.
        """
        path = Path(path)
        try:
            present = {entry.name for entry in path.iterdir()}
        except OSError as error:
            raise InputError(f"{path} is not a run folder: {error.strerror}; {_GIVE}") from error
        if MANIFEST in present:
            return cls(path, _read_manifest(path))
        if CONFIG not in present:
            raise InputError(f"{path} is not a run folder: it has no {MANIFEST} and no {CONFIG}; {_GIVE}")
        if b"format = 1\n" not in read_bounded(path / CONFIG, _LARGEST_CONFIG):
            raise EmugraphError(f"{path / MANIFEST} is missing; restore it from a copy")
        return cls(path, None)

    @classmethod
    @contextmanager
    def create(cls, path: Path) -> Iterator[RunFolder]:
        """A new folder to write the first files into; it appears at ``path`` whole, when the block ends.

        Raises:
            InputError: there is something at ``path`` already.
            EmugraphError: it cannot be written.
        """
        with creating(path) as unfinished:
            folder = cls(unfinished, {})
            yield folder
        folder.path = path

    @property
    def is_old(self) -> bool:
        """Whether it is of format 1: without manifest and checkpoints, and only to be read."""
        return self._files is None

    # ---------------------------------------------------------------- reading

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        known = self._files is None or name in self._files
        return known and (self.path / name).is_file()

    def read(self, name: str, largest: int | None = None) -> bytes:
        """A file's content, as it was written. Another process may be training in the folder meanwhile.

        Args:
            name: the file.
            largest: bytes that it may have; None for a quarter of the memory.

        Raises:
            EmugraphError: the file is missing, too large, or not what was written.
        """
        path = self.path / name
        for allowed in self._allowed(name):
            content = read_bounded(path, largest)
            if allowed is None or Sums.of(content) in allowed:
                return content
        raise self._damaged(name)

    def use(self, name: str, read: Callable[[Path], T], largest: int | None = None) -> T:
        """What ``read`` makes of a file's path, once all of it was found to be as it was written; see :meth:`opened`.

        Args:
            name: the file.
            read: takes the path; called again where another process has replaced the file meanwhile.
            largest: bytes that the file may have; None for any number.
        """
        path = self.path / name
        while True:
            with self.opened(name, largest) as file:
                used = read(path)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                        return used

    @contextmanager
    def opened(self, name: str, largest: int | None = None) -> Iterator[BinaryIO]:
        """A file to be read piece by piece, once all of it was found to be as it was written; see :meth:`read`.

        Args:
            name: the file.
            largest: bytes that it may have; None for any number.
        """
        for allowed in self._allowed(name):
            with open_bounded(self.path / name, largest) as file:
                if allowed is None or Sums.of_stream(file) in allowed:
                    file.seek(0)
                    yield file
                    return
        raise self._damaged(name)

    def _allowed(self, name: str) -> Iterator[list[Sums] | None]:
        """The sums that a file may have, None for any; anew as long as the manifest changes meanwhile."""
        if self._files is None:
            yield None
            return
        path = self.path / name
        for _ in range(_READS):
            if name not in self._files:
                raise EmugraphError(f"{path} is missing: {MANIFEST} does not list it")
            allowed = self._files[name]
            try:
                size = path.stat().st_size
            except OSError as error:
                raise EmugraphError(f"cannot read {path}: {error.strerror}") from error
            if any(size == sums.size for sums in allowed):
                yield allowed
            # Whoever replaces a file lists it first: if the manifest is as it was, the file is not what was written.
            self._files, before = _read_manifest(self.path), self._files
            if self._files == before:
                break

    def _damaged(self, name: str) -> EmugraphError:
        return EmugraphError(
            f"{self.path / name} is damaged or another run's: {MANIFEST} says otherwise; restore it from a copy"
        )

    def read_json(self, name: str) -> Any:
        """A JSON file's content. Raises EmugraphError, naming the file, if it is missing or damaged."""
        try:
            return json.loads(self.read(name).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise EmugraphError(f"{self.path / name} is damaged: {error}") from error

    def checkpoints(self) -> list[tuple[int, str]]:
        """Steps and files of the checkpoints that are there, the latest first."""
        matches = ((_CHECKPOINT.fullmatch(name), name) for name in self._files or ())
        return sorted(((int(match[1]), name) for match, name in matches if match and self.has(name)), reverse=True)

    # ---------------------------------------------------------------- writing

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training here. What a killed one left unfinished is removed.

        Raises:
            InputError: another process trains here.
        """
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        with explain_write_errors(self.path):
            try:
                lock.acquire()
            except filelock.Timeout as error:
                raise InputError(f"another process trains in {self.path}; wait for it, or stop it") from error
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        listed = self._files or {}
        for path in [*self.path.glob(".*.partial"), *self.path.glob("*/.*.partial"), *self.path.glob("checkpoints/*")]:
            if path.relative_to(self.path).as_posix() not in listed:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file, whole or not at all.

        Args:
            name: the file, which may exist.
            write: writes the content to a temporary path.

        Raises:
            EmugraphError: the disk is full, or the folder cannot be written to.
        """
        assert self._files is not None, "a folder of format 1 is only read"
        with replacing(self.path / name) as temporary:
            write(temporary)
            sums = Sums.of_file(temporary)
            self._list(name, [*self._files.get(name, []), sums])
        self._list(name, [sums])

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text, as :meth:`write`."""
        self.write(name, lambda path: path.write_bytes(text.encode("utf-8")))

    def write_json(self, name: str, value: Any) -> None:
        """Write JSON, a list with an item a line, as :meth:`write`."""
        indent = 0 if isinstance(value, list) else 2
        self.write_text(name, json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent) + "\n")

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self._files is not None and name in self._files:
            (self.path / name).unlink(missing_ok=True)
            del self._files[name]
            self._save()

    def _list(self, name: str, sums: list[Sums]) -> None:
        assert self._files is not None
        self._files[name] = sums
        self._save()

    def _save(self) -> None:
        assert self._files is not None
        files = {
            name: [sums.model_dump(exclude_none=True) for sums in allowed] for name, allowed in self._files.items()
        }
        manifest = {"format": FORMAT, "files": files}
        write_text(self.path / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")

    def append_log(self, record: dict[str, Any]) -> None:
        """Add one line to the log."""
        path = self.path / LOG
        with explain_write_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")

    def cut_log(self, step: int) -> None:
        """Take away the log's lines of steps after ``step``, and one that was not finished."""
        path = self.path / LOG
        lines = read_bounded(path, None).decode("utf-8", "replace").splitlines() if path.is_file() else []
        write_text(path, "".join(f"{line}\n" for line in lines if _step_of(line) <= step))


def _step_of(line: str) -> float:
    """The step that a line of the log is of; infinite for a line that was not finished."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")


def _read_manifest(path: Path) -> dict[str, list[Sums]]:
    file = path / MANIFEST
    try:
        manifest = json.loads(read_bounded(file, _LARGEST_MANIFEST).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise EmugraphError(f"{file} is damaged: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise EmugraphError(f"{file} is damaged: it does not list files")
    if manifest.get("format") not in _WITH_MANIFEST:
        raise EmugraphError(
            f"{file} has format {manifest.get('format')!r:.20}; this version reads formats 1 to {FORMAT}: "
            "a later version of emugraph wrote it"
        )
    try:
        files = _FILES.validate_python(manifest["files"])
    except ValidationError as error:
        raise EmugraphError(f"{file} is damaged: files.{'.'.join(map(str, error.errors()[0]['loc']))}") from error
    for name, allowed in files.items():
        if any(sums.size is None or sums.sha256 is None for sums in allowed):
            raise EmugraphError(f"{file} is damaged: it does not give size and SHA-256 of {name!r:.80}")
    return files
