"""Downloads: https alone, bounded, checked, from the first address that works."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from emugraph.errors import EmugraphError, InputError
from emugraph.io.checksums import Sums

if TYPE_CHECKING:
    import requests

MAX_BYTES = 2 << 30
"""The most that a file of unknown size may have."""

_SECONDS_TO_CONNECT = 10.0
_SECONDS_BETWEEN_PIECES = 30.0
_MAX_REDIRECTS = 5
_RETRIES = 1
_CHUNK = 1 << 18


class _RefusedError(Exception):
    """An answer that is not worth a second try."""


def check_url(url: str) -> None:
    """Raise InputError unless an address is https with a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{url!r} is not an https address; only https is used")


def fetch(urls: Sequence[str], target: Path, sums: Sums, *, progress: bool, patient: bool = True) -> None:
    """Download a file and check it.

    Args:
        urls: where it is published; tried in this order until one gives the right file.
        target: where to write it; a new file in a folder that exists.
        sums: what the file must be; without ``size``, at most :data:`MAX_BYTES` are accepted.
        progress: show a bar on standard error.
        patient: try again after a broken connection, and wait for a slow one.

    Raises:
        EmugraphError: no address gave the file; each is named with its reason.
    """
    failures = []
    for url in urls:
        try:
            _download(url, target, _Downloader(sums.size or MAX_BYTES, progress, patient))
            sums.verify(target)
            return
        except (_RefusedError, EmugraphError) as error:
            failures.append(f"  {url}: {error}")
            target.unlink(missing_ok=True)
    raise EmugraphError(f"could not download {target.name}:\n" + "\n".join(failures))


def _download(url: str, target: Path, downloader: _Downloader) -> None:
    """Download through pooch, which retries and renames. Raises _RefusedError with the reason."""
    import pooch
    import requests

    source = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: None},  # checked by the caller, who knows more kinds of sums than pooch
        urls={target.name: url},
        retry_if_failed=_RETRIES if downloader.patient else 0,
    )
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        source.fetch(target.name, downloader=downloader)
    except requests.RequestException as error:
        raise _RefusedError(_reason(error)) from error
    finally:
        logger.setLevel(level)
    # pooch makes files that only their owner may read; the folder says who else should.
    target.chmod(target.parent.stat().st_mode & 0o666)


class _Downloader:
    """A downloader as pooch wants it.

    Args:
        limit: the most bytes to accept.
        progress: show a bar on standard error.
        patient: wait for a slow server.
    """

    def __init__(self, limit: int, progress: bool, patient: bool) -> None:
        self.limit = limit
        self.progress = progress
        self.patient = patient

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        import requests

        timeout = (_SECONDS_TO_CONNECT if self.patient else _SECONDS_TO_CONNECT / 3, _SECONDS_BETWEEN_PIECES)
        with (
            requests.Session() as session,
            _get(session, url, timeout) as response,
            Path(output_file).open("wb") as file,
        ):
            self._copy(response, file, url.rpartition("/")[2])

    def _copy(self, response: requests.Response, file: IO[bytes], name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        copied = 0
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not self.progress) as bar:
            task = bar.add_task(name, total=total)
            for chunk in response.iter_content(_CHUNK):
                copied += len(chunk)
                if copied > self.limit:
                    raise _RefusedError(f"more than the {self.limit:,} bytes that are expected at most")
                file.write(chunk)
                bar.update(task, completed=copied)


def _get(session: requests.Session, url: str, timeout: tuple[float, float]) -> requests.Response:
    """The answer at an address, followed through redirects, each of which must be https too."""
    # A server that compresses on the way would hide the size, and sums are of the plain file.
    headers = {"Accept-Encoding": "identity"}
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            check_url(url)
        except InputError as error:
            raise _RefusedError(str(error)) from error
        response = session.get(url, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
        if not response.is_redirect:
            break
        url = urljoin(url, response.headers["Location"])
        response.close()
    else:
        raise _RefusedError(f"more than {_MAX_REDIRECTS} redirects")
    if response.status_code != 200:
        response.close()
        raise _RefusedError(f"the server answered {response.status_code} {response.reason}")
    return response


def _reason(error: requests.RequestException) -> str:
    """A network error in a few words; requests' own name its inner objects."""
    from requests import exceptions

    if isinstance(error, exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, (exceptions.ChunkedEncodingError, exceptions.ContentDecodingError)):
        return "the connection broke off"
    if isinstance(error, exceptions.ConnectionError):
        return "no connection"
    return str(error)
