"""A data set of five triples, and a server on this machine that publishes whatever a test wants."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from emugraph.datasets import card, fetch
from emugraph.io import toml

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def _no_folders_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("EMUGRAPH_CARDS", str(tmp_path_factory.mktemp("cards")))
    monkeypatch.delenv("EMUGRAPH_DATASETS", raising=False)


@dataclass
class Toy:
    """The data set "toy": entities a, b, c, d, relations r, s."""

    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "train.txt": b"a\tr\tb\nb\tr\tc\nc\ts\ta\n",
            "valid.txt": b"a\ts\tc\n",
            "test.txt": b"b\ts\td\n",
        }
    )
    ids = {"train": [[0, 0, 1], [1, 0, 2], [2, 1, 0]], "valid": [[0, 1, 2]], "test": [[1, 1, 3]]}  # noqa: RUF012

    def pack(self, suffix: str = ".tar.gz", folder: str = "") -> bytes:
        """The files as an archive."""
        stream = io.BytesIO()
        if suffix == ".zip":
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
                for name, content in self.files.items():
                    zipped.writestr(folder + name, content)
        else:
            with tarfile.open(fileobj=stream, mode="w:xz" if suffix.endswith(".xz") else "w:gz") as tar:
                for name, content in self.files.items():
                    member = tarfile.TarInfo(folder + name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    def unpack(self, folder: Path) -> Path:
        """The files in a new folder."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder

    def values(self, **more: Any) -> dict[str, Any]:
        """A card with the files' sums."""
        files = {
            name.removesuffix(".txt"): {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in self.files.items()
        }
        return {"name": "toy", "files": files, **more}

    def archive_values(self, urls: list[str], content: bytes, name: str = "Toy.tar.gz", **more: Any) -> dict[str, Any]:
        """A card for a published archive."""
        archive = {"name": name, "urls": urls, "sha256": hashlib.sha256(content).hexdigest()}
        return self.values(archive=archive, **more)


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def write_card() -> Callable[[dict[str, Any]], Path]:
    """Puts a card into the user's folder."""

    def write(values: dict[str, Any]) -> Path:
        file = Path(os.environ["EMUGRAPH_CARDS"]) / f"{values['name']}.toml"
        file.write_text(toml.dumps(values), encoding="utf-8")
        return file

    return write


class Server:
    """Answers each path with bytes, or with what a function does; counts requests."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Answer] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append(self.path)
                owner.headers.append(dict(self.headers))
                answer = owner.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                elif isinstance(answer, bytes):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                else:
                    answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away are no news
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def publish(self, path: str, answer: bytes | Answer) -> str:
        """Answer at a path; returns its address."""
        self.answers[path] = answer
        return self.address + path

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose plain http is let through; every other address is judged as ever. No waiting for retries."""
    running = Server()
    real = fetch.check_url

    def check(url: str) -> None:
        if not url.startswith(running.address + "/"):
            real(url)

    monkeypatch.setattr(fetch, "check_url", check)
    monkeypatch.setattr(card, "check_url", check)
    monkeypatch.setattr(fetch, "_RETRIES", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    yield running
    running.close()
