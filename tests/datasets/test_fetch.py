"""Downloads over a real socket."""

from __future__ import annotations

import hashlib
import logging
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import pooch
import pytest

from emugraph import EmugraphError, InputError
from emugraph.datasets import fetch as module
from emugraph.datasets.fetch import check_url, fetch
from emugraph.io.checksums import Sums

if TYPE_CHECKING:
    from .conftest import Server

CONTENT = b"0123456789" * 100
SUMS = Sums(sha256=hashlib.sha256(CONTENT).hexdigest())


def redirect(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", location)
        request.end_headers()

    return answer


def truncated(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    request.wfile.write(CONTENT[:300])


def refused_port() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize("url", ["https://example.org/a.tar.gz", "https://127.0.0.1:8443/a", "HTTPS://example.org/a"])
def test_https_is_used(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://example.org/a", "ftp://example.org/a", "file:///etc/passwd", "example.org/a", "", "https:///a", "https://[/a"],
)  # fmt: skip
def test_nothing_but_https_is_used(url: str) -> None:
    with pytest.raises(InputError, match="not an https address"):
        check_url(url)


def test_right_file(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    level = pooch.get_logger().level
    (tmp_path / "plain").touch()
    fetch([server.publish("/file", CONTENT)], tmp_path / "file", SUMS, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (tmp_path / "file").stat().st_mode == (
        tmp_path / "plain"
    ).stat().st_mode or tmp_path.stat().st_mode & 0o77 == 0
    assert capsys.readouterr() == ("", "")
    assert pooch.get_logger().level == level
    assert logging.getLogger().level == logging.WARNING
    assert server.headers[0]["Accept-Encoding"] == "identity"


def test_file_may_be_read_by_those_who_may_read_the_folder(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    fetch([server.publish("/file", CONTENT)], tmp_path / "file", SUMS, progress=False)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_progress_goes_to_standard_error(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch([server.publish("/file", CONTENT)], tmp_path / "file", SUMS, progress=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (CONTENT[:-1], "expected sha256"),
        (b"", "expected sha256"),
        (truncated, "the connection broke off"),
        (None, "the server answered 404"),
        (lambda request: request.send_error(503), "the server answered 503"),
        (lambda request: request.wfile.write(b"not HTTP\r\n\r\n"), "the connection broke off|no connection"),
        (redirect("http://example.org/file"), "'http://example.org/file' is not an https address"),
        (redirect("file:///etc/passwd"), "'file:///etc/passwd' is not an https address"),
        (redirect("ftp://example.org/file"), "is not an https address"),
        (redirect("//example.org/file"), "'http://example.org/file' is not an https address"),
        (redirect("/start"), "more than 5 redirects"),
        (lambda request: request.send_response(304), "the server answered 304|the connection broke off|no connection"),
    ],
)
def test_what_goes_wrong_is_told(
    server: Server, tmp_path: Path, answer: bytes | Callable[[BaseHTTPRequestHandler], None] | None, reason: str
) -> None:
    if answer is not None:
        server.publish("/start", answer)
    with pytest.raises(
        EmugraphError, match=rf"could not download file:\n  {server.address}/start: .*({reason})"
    ) as caught:
        fetch([f"{server.address}/start"], tmp_path / "file", SUMS, progress=False)
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    assert set(server.requests) <= {"/start"}


def test_wrong_bytes_name_both_sums(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        EmugraphError, match=f"expected sha256 {SUMS.sha256}, found {hashlib.sha256(b'no').hexdigest()}"
    ):
        fetch([server.publish("/file", b"no")], tmp_path / "file", SUMS, progress=False)


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    server.publish("/b/c", CONTENT)
    server.publish("/b/a", redirect("c"))
    fetch([server.publish("/start", redirect("/b/a"))], tmp_path / "file", SUMS, progress=False)
    assert server.requests == ["/start", "/b/a", "/b/c"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize(("size", "bound"), [(1000, 1000), (None, 500_000)])
def test_an_endless_answer_is_cut_off(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None, bound: int
) -> None:
    sent = [0]

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        for _ in range(1000):
            request.wfile.write(bytes(100_000))
            sent[0] += 100_000

    monkeypatch.setattr(module, "MAX_BYTES", 500_000)
    sums = Sums(sha256=SUMS.sha256, size=size)
    with pytest.raises(EmugraphError, match=f"more than the {bound:,} bytes"):
        fetch([server.publish("/file", endless)], tmp_path / "file", sums, progress=False)
    assert sent[0] < 50_000_000
    assert list(tmp_path.iterdir()) == []


def test_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    urls = [
        f"https://{refused_port()}/file",
        f"{server.address}/missing",
        server.publish("/wrong", b"wrong"),
        server.publish("/right", CONTENT),
        server.publish("/unneeded", CONTENT),
    ]
    fetch(urls, tmp_path / "file", SUMS, progress=False)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == ["/missing", "/wrong", "/right"]


def test_every_address_is_named_in_the_end(server: Server, tmp_path: Path) -> None:
    urls = [f"https://{refused_port()}/a", f"{server.address}/b"]
    with pytest.raises(EmugraphError) as caught:
        fetch(urls, tmp_path / "file", SUMS, progress=False)
    assert str(caught.value) == (
        f"could not download file:\n  {urls[0]}: no connection\n  {urls[1]}: the server answered 404 Not Found"
    )


def test_a_server_that_falls_silent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_PIECES", 0.1)
    with pytest.raises(EmugraphError, match=r"no answer in time"):
        fetch([server.publish("/file", lambda request: time.sleep(0.5))], tmp_path / "file", SUMS, progress=False)


@pytest.mark.parametrize("patient", [True, False])
def test_a_broken_connection_is_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    monkeypatch.setattr(module, "_RETRIES", 1)
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)

    def once(request: BaseHTTPRequestHandler) -> None:
        server.publish("/file", CONTENT)
        truncated(request)

    url = server.publish("/file", once)
    if patient:
        fetch([url], tmp_path / "file", SUMS, progress=False)
        assert (tmp_path / "file").read_bytes() == CONTENT
    else:
        with pytest.raises(EmugraphError, match="the connection broke off"):
            fetch([url], tmp_path / "file", SUMS, progress=False, patient=False)
