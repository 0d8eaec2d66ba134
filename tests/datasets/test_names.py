"""Readable names."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emugraph.datasets import find_card
from emugraph.datasets.locate import BUNDLED
from emugraph.datasets.names import readable_names

if TYPE_CHECKING:
    from .conftest import Server, Toy

Write = Callable[[dict[str, Any]], Path]

TSV = "a\tAnna Karenina\nb\tBöhme\u2028\nc\t\n".encode()
WIKIDATA = json.dumps({"a": {"label": "Anna", "x": 1}, "b": {"label": ""}, "c": {"label": None}, "d": {}}).encode()


def card(toy: Toy, write_card: Write, tmp_path: Path, content: bytes, url: str, format: str = "tsv") -> None:
    names = {"format": format, "name": "names.file", "urls": [url], "sha256": hashlib.sha256(content).hexdigest()}
    write_card({"name": "toy", "path": str(tmp_path), "names": names})


def test_downloaded_once(toy: Toy, write_card: Write, tmp_path: Path, server: Server) -> None:
    card(toy, write_card, tmp_path, TSV, server.publish("/names", TSV))
    for _ in range(2):
        assert readable_names(find_card("toy")) == {"a": "Anna Karenina", "b": "Böhme\u2028", "c": ""}
    assert server.requests == ["/names"]


def test_wikidata(toy: Toy, write_card: Write, tmp_path: Path, server: Server) -> None:
    card(toy, write_card, tmp_path, WIKIDATA, server.publish("/names", WIKIDATA), "wikidata")
    assert readable_names(find_card("toy")) == {"a": "Anna"}


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_in_own_folder(
    toy: Toy, write_card: Write, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("EMUGRAPH_DATASETS", str(tmp_path))
    (tmp_path / f"names.file{suffix}").write_bytes(gzip.compress(WIKIDATA) if suffix else WIKIDATA)
    card(toy, write_card, tmp_path, WIKIDATA, server.publish("/names", WIKIDATA), "wikidata")
    assert readable_names(find_card("toy")) == {"a": "Anna"}
    assert server.requests == []


def test_none(tmp_path: Path, write_card: Write) -> None:
    write_card({"name": "toy", "path": str(tmp_path)})
    assert readable_names(find_card("toy")) == {}


@pytest.mark.parametrize(
    ("own", "note"),
    [
        (None, "could not download names.file: .*404"),
        (b"other", "names.file is not the file that is meant: expected sha256"),
    ],
)
def test_one_note_where_they_cannot_be_had(
    toy: Toy,
    write_card: Write,
    tmp_path: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    own: bytes | None,
    note: str,
) -> None:
    if own is not None:
        monkeypatch.setenv("EMUGRAPH_DATASETS", str(tmp_path))
        (tmp_path / "names.file").write_bytes(own)
    card(toy, write_card, tmp_path, TSV, f"{server.address}/gone")
    assert readable_names(find_card("toy")) == {}
    (message,) = caplog.messages
    assert message.startswith("toy has no readable names; to have them, put names.file into a folder")
    assert "\n" not in message
    assert re.search(note, message)


def test_bundled_names() -> None:
    names = readable_names(find_card("wn18rr"))
    assert len(names) == len(set(names.values())) == 40_943
    # Looked up by hand in WordNet 3.0.
    assert names["02084071"] == "dog.n.01"
    assert names["00002137"] == "abstraction.n.06"
    assert names["00260881"] == "land_reform.n.01"
    assert names["01332730"] == "cover.v.01"
    # An offset in several files: breathe.v.01 has 22 of its triples, able.a.01 4, entity.n.01 3.
    assert names["00001740"] == "breathe.v.01"
    lines = lzma.decompress((BUNDLED / "wn18rr-names.tsv.xz").read_bytes()).decode().split("\n")
    assert lines == sorted(lines[:-1]) + [""]
