"""Where data sets are found, and how they get into the cache."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emugraph import EmugraphError, InputError
from emugraph.datasets import download, find_card, locate, where
from emugraph.datasets.cache import cache_folder
from emugraph.datasets.locate import checked_files

if TYPE_CHECKING:
    from .conftest import Server, Toy

Write = Callable[[dict[str, Any]], Path]

# A process of its own that downloads the data set "toy", letting the server at argv[1] through.
DOWNLOAD = """
import sys
from emugraph.datasets import card, download, fetch
real = fetch.check_url
card.check_url = fetch.check_url = lambda url: None if url.startswith(sys.argv[1]) else real(url)
print(download("toy"))
"""


def start_download(server: Server) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD, server.address], env=environment, stdout=subprocess.PIPE, text=True
    )


def contents(name: str = "toy") -> dict[str, bytes]:
    with checked_files(find_card(name)) as folder:
        return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def in_cache() -> list[str]:
    return sorted(path.name for path in cache_folder().iterdir()) if cache_folder().is_dir() else []


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder $EMUGRAPH_DATASETS."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setenv("EMUGRAPH_DATASETS", str(folder))
    return folder


# ---------------------------------------------------------------- a card with a path


@pytest.mark.parametrize("suffix", ["", ".tar.gz", ".tgz", ".tar.xz", ".zip"])
@pytest.mark.parametrize("sums", [True, False])
def test_a_path_of_the_users(tmp_path: Path, toy: Toy, write_card: Write, suffix: str, sums: bool) -> None:
    place = tmp_path / f"toy{suffix}"
    if suffix:
        place.write_bytes(toy.pack(suffix))
    else:
        toy.unpack(place)
    write_card(toy.values(path=str(place)) if sums else {"name": "toy", "path": str(place)})
    assert where("toy") == download("toy") == place
    assert contents() == toy.files
    assert in_cache() == []


def test_a_path_to_nothing(tmp_path: Path, write_card: Write) -> None:
    card = write_card({"name": "toy", "path": "nowhere"})
    with pytest.raises(InputError, match=rf"{card}: path = 'nowhere': .*nowhere does not exist"):
        where("toy")


def test_a_path_to_other_files(tmp_path: Path, toy: Toy, write_card: Write) -> None:
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy"))))
    (tmp_path / "toy" / "valid.txt").write_bytes(b"other")
    with pytest.raises(EmugraphError, match=r"valid.txt is not the file that is meant: expected sha256 .*, found"):
        contents()


# ---------------------------------------------------------------- $EMUGRAPH_DATASETS


@pytest.mark.parametrize("name", ["Toy.tar.gz", "toy.tar.gz"])
def test_own_archive(own: Path, toy: Toy, write_card: Write, name: str) -> None:
    content = toy.pack(folder="toy/")
    (own / name).write_bytes(content)
    write_card(toy.archive_values(["https://example.invalid/Toy.tar.gz"], content))
    assert where("toy") == own / name
    assert contents() == toy.files
    assert in_cache() == []


@pytest.mark.parametrize("name", ["toy", "TOY", "Toy-1"])
def test_own_folder(own: Path, toy: Toy, write_card: Write, name: str) -> None:
    toy.unpack(own / name)
    write_card(toy.archive_values(["https://example.invalid/Toy.tar.gz"], b"", title="Toy-1"))
    assert where("toy") == own / name
    assert contents() == toy.files


def test_a_wrong_sum_is_not_passed_over(own: Path, toy: Toy, write_card: Write, server: Server) -> None:
    content = toy.pack()
    write_card(toy.archive_values([server.publish("/Toy.tar.gz", content)], content))
    (own / "Toy.tar.gz").write_bytes(b"another archive")
    with pytest.raises(
        EmugraphError, match=rf"{own}/Toy.tar.gz is not the file that is meant: expected sha256 .*found"
    ):
        contents()
    (own / "Toy.tar.gz").unlink()
    (toy.unpack(own / "toy") / "test.txt").write_bytes(b"x\ty\tz\n")
    with pytest.raises(EmugraphError, match=rf"{own}/toy/test.txt is not the file that is meant: expected sha256"):
        download("toy")
    (own / "toy" / "test.txt").unlink()
    with pytest.raises(EmugraphError, match=rf"{own}/toy has no test.txt; toy needs it"):
        contents()
    assert server.requests == []


def test_own_archive_of_other_files(own: Path, toy: Toy, write_card: Write) -> None:
    values = toy.values()
    toy.files["train.txt"] = b"x\ty\tz\n"
    content = toy.pack()
    (own / "Toy.tar.gz").write_bytes(content)
    write_card({**toy.archive_values(["https://example.invalid/Toy.tar.gz"], content), "files": values["files"]})
    with pytest.raises(EmugraphError, match=r"train.txt is not the file that is meant"):
        contents()


def test_own_folder_comes_before_what_is_bundled(own: Path) -> None:
    (own / "WN18RR.tar.gz").write_bytes(b"not it")
    with pytest.raises(EmugraphError, match=r"own/WN18RR.tar.gz is not the file that is meant: expected size 892,861"):
        download("wn18rr")


def test_bundled() -> None:
    assert where("wn18rr") == download("wn18rr") == locate.BUNDLED / "wn18rr.tar.xz"
    assert {name: len(content) for name, content in contents("wn18rr").items()} == {
        "train.txt": 3_135_377, "valid.txt": 110_415, "test.txt": 113_180,
    }  # fmt: skip
    assert in_cache() == []


def test_bundled_needs_no_cache_but_a_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", "/dev/null/nothing")
    assert len(contents("wn18rr")) == 3
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(EmugraphError, match="set TMPDIR to another folder"):
        contents("wn18rr")


# ---------------------------------------------------------------- download into the cache


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".zip"])
def test_an_archive_is_downloaded_once(toy: Toy, write_card: Write, server: Server, suffix: str) -> None:
    content = toy.pack(suffix, folder="Toy/")
    url = server.publish("/Toy", content)
    write_card(toy.archive_values([f"{server.address}/gone", url], content, f"Toy{suffix}"))
    assert where("toy") is None
    assert download("toy") == where("toy") == cache_folder() / "toy"
    assert contents() == toy.files
    assert in_cache() == ["toy"]
    assert server.requests == ["/gone", "/Toy"]


def test_files_are_downloaded_one_by_one(toy: Toy, write_card: Write, server: Server) -> None:
    values = toy.values()
    for split, file in values["files"].items():
        file["urls"] = [server.publish(f"/{split}", toy.files[file["name"]])]
    write_card(values)
    assert contents() == contents() == toy.files
    assert server.requests == ["/train", "/valid", "/test"]


def test_a_damaged_cache_is_mended(toy: Toy, write_card: Write, server: Server) -> None:
    content = toy.pack()
    write_card(toy.archive_values([server.publish("/Toy", content)], content))
    (download("toy") / "valid.txt").write_bytes(b"a\ts\td\n")
    assert contents() == toy.files
    assert len(server.requests) == 2
    assert in_cache() == ["toy"]


def test_no_network_says_what_to_do(toy: Toy, write_card: Write, server: Server) -> None:
    write_card(toy.archive_values([f"{server.address}/gone", "https://localhost:1/gone"], b""))
    with pytest.raises(EmugraphError) as caught:
        download("toy")
    assert caught.value.exit_code == 1
    assert str(caught.value) == (
        f"could not download Toy.tar.gz:\n  {server.address}/gone: the server answered 404 Not Found\n"
        "  https://localhost:1/gone: no connection\n"
        "To get it another way, put Toy.tar.gz into a folder, and set EMUGRAPH_DATASETS to that folder"
    )
    assert in_cache() == []


def test_an_archive_without_the_right_files(toy: Toy, write_card: Write, server: Server) -> None:
    right = toy.values()
    toy.files["test.txt"] = b"other"
    content = toy.pack()
    write_card({**toy.archive_values([server.publish("/Toy", content)], content), "files": right["files"]})
    with pytest.raises(EmugraphError, match="test.txt is not the file that is meant"):
        download("toy")
    del toy.files["test.txt"]
    content = toy.pack()
    write_card({**toy.archive_values([server.publish("/Toy", content)], content), "files": right["files"]})
    with pytest.raises(EmugraphError, match=r"does not hold test.txt"):
        download("toy")
    assert in_cache() == []


def test_a_cache_that_cannot_be_written_to(
    toy: Toy, write_card: Write, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = toy.pack()
    write_card(toy.archive_values([server.publish("/Toy", content)], content))
    monkeypatch.setenv("EMUGRAPH_CACHE", "/dev/null/nothing")
    with pytest.raises(
        EmugraphError, match=r"cannot write .*toy: Not a directory; set EMUGRAPH_CACHE to another folder"
    ):
        download("toy")


@pytest.mark.parametrize(
    "where_it_happens", ["emugraph.datasets.fetch._Downloader._copy", "emugraph.datasets.locate.extract"]
)
def test_a_full_disk(
    toy: Toy, write_card: Write, server: Server, monkeypatch: pytest.MonkeyPatch, where_it_happens: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    content = toy.pack()
    write_card(toy.archive_values([server.publish("/Toy", content)], content))
    monkeypatch.setattr(where_it_happens, full)
    with pytest.raises(
        EmugraphError, match=r"no space left while writing .*toy; free some space or set EMUGRAPH_CACHE"
    ):
        download("toy")
    assert in_cache() == []


def test_two_processes_at_once(toy: Toy, write_card: Write, server: Server) -> None:
    content = toy.pack()
    both = threading.Barrier(2, timeout=20)

    def answer(request: BaseHTTPRequestHandler) -> None:
        both.wait()  # until the other has asked as well
        request.send_response(200)
        request.end_headers()
        request.wfile.write(content)

    write_card(toy.archive_values([server.publish("/Toy", answer)], content))
    processes = [start_download(server) for _ in range(2)]
    answers = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers == [f"{cache_folder() / 'toy'}\n"] * 2
    assert server.requests == ["/Toy", "/Toy"]
    assert in_cache() == ["toy"]
    assert contents() == toy.files


def test_killed_while_writing(toy: Toy, write_card: Write, server: Server) -> None:
    toy.files["train.txt"] += b"".join(b"%d\tr\t%d\n" % (i, i * i % 9973) for i in range(30_000))
    content = toy.pack()
    half_sent, over = threading.Event(), threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        half_sent.set()
        over.wait(timeout=30)

    write_card(toy.archive_values([server.publish("/Toy", answer)], content))
    process = start_download(server)
    assert half_sent.wait(timeout=20)
    while not any(path.is_file() for path in cache_folder().rglob("*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.communicate(timeout=10)[0] == ""
    over.set()

    (left_over,) = in_cache()
    assert left_over.startswith(".toy.")
    assert where("toy") is None
    server.publish("/Toy", content)
    assert contents() == toy.files
    assert in_cache() == [left_over, "toy"]

    # A day later it is cleared away, the next time something is written.
    for path in (*(cache_folder() / left_over).rglob("*"), cache_folder() / left_over):
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    (cache_folder() / "toy" / "valid.txt").unlink()
    assert contents() == toy.files
    assert in_cache() == ["toy"]
