"""Data sets as ids."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emugraph import EmugraphError, InputError
from emugraph.datasets import load

if TYPE_CHECKING:
    from .conftest import Server, Toy

Write = Callable[[dict[str, Any]], Path]

OWN = os.environ.get("EMUGRAPH_DATASETS", "")  # before a fixture unsets it


def needs(name: str) -> pytest.MarkDecorator:
    there = bool(OWN) and (Path(OWN) / name).exists()
    return pytest.mark.skipif(not there, reason=f"needs {name} in the folder that EMUGRAPH_DATASETS names")


def test_toy(toy: Toy, write_card: Write, tmp_path: Path) -> None:
    counts = {"entities": 4, "relations": 2, "train": 3, "valid": 1, "test": 1}
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy")), counts=counts))
    data = load("TOY")
    assert data.name == data.card.name == "toy"
    assert data.entities.labels == ["a", "b", "c", "d"]
    assert data.relations.labels == ["r", "s"]
    assert {split: triples.tolist() for split, triples in data.splits.items()} == toy.ids
    assert data.counts == counts
    assert data.entity_names is None


def test_csv(toy: Toy, write_card: Write, tmp_path: Path) -> None:
    toy.files = {name: content.replace(b"\t", b",") for name, content in toy.files.items()}
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy")), format="csv"))
    assert {split: triples.tolist() for split, triples in load("toy").splits.items()} == toy.ids


def test_names_follow_the_ids(toy: Toy, write_card: Write, tmp_path: Path, server: Server) -> None:
    content = b"d\tDora\nb\tBob\nz\tZoe\n"
    names = {"format": "tsv", "name": "names.tsv", "urls": [server.publish("/names", content)]}
    names["md5"] = hashlib.md5(content).hexdigest()
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy")), names=names))
    assert load("toy").entity_names == [None, "Bob", None, "Dora"]


@pytest.mark.parametrize("what", ["entities", "relations", "train", "valid", "test"])
def test_other_counts_than_the_cards(toy: Toy, write_card: Write, tmp_path: Path, what: str) -> None:
    card = write_card(toy.values(path=str(toy.unpack(tmp_path / "toy")), counts={what: 9}))
    with pytest.raises(InputError, match=rf"{card}: counts.{what} = 9, but the data set has \d; correct the card"):
        load("toy")


def test_an_empty_split(toy: Toy, write_card: Write, tmp_path: Path) -> None:
    toy.files["valid.txt"] = b""
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy"))))
    with pytest.raises(InputError, match=r"empty split: valid.txt of toy holds no triple"):
        load("toy")


def test_wrong_files_are_never_read(toy: Toy, write_card: Write, tmp_path: Path) -> None:
    write_card(toy.values(path=str(toy.unpack(tmp_path / "toy"))))
    (tmp_path / "toy" / "train.txt").write_bytes(b"not\ta triple\n")
    with pytest.raises(EmugraphError, match="is not the file that is meant"):
        load("toy")


def test_wn18rr() -> None:
    data = load("wn18rr")
    assert data.counts == {"entities": 40_943, "relations": 11, "train": 86_835, "valid": 3_034, "test": 3_134}
    # The first line of train.txt: 00260881 _hypernym 00260622.
    assert data.splits["train"][0].tolist() == [0, 0, 1]
    assert data.entities.labels[:2] == ["00260881", "00260622"]
    assert data.relations.labels[0] == "_hypernym"
    assert data.entity_names is not None
    assert data.entity_names[:2] == ["land_reform.n.01", "reform.n.01"]
    assert data.entity_names[data.entities.id("02084071")] == "dog.n.01"
    assert None not in data.entity_names


@needs("FB15k-237.tar.gz")
@needs("entity2wikidata.json.gz")
def test_fb15k_237(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_DATASETS", OWN)
    data = load("FB15k-237")
    assert data.counts == {"entities": 14_541, "relations": 237, "train": 272_115, "valid": 17_535, "test": 20_466}
    # The first line of train.txt; its lines end in CRLF.
    assert (data.entities[0], data.relations[0], data.entities[1]) == (
        "/m/027rn", "/location/country/form_of_government", "/m/06cx9",
    )  # fmt: skip
    assert not any(label.endswith("\r") for label in data.entities)
    assert data.entity_names is not None
    assert data.entity_names[:2] == ["Dominican Republic", "republic"]
    assert data.entity_names.count(None) == 26


@needs("YAGO3-10-quarter.tar.xz")
def test_a_quarter_of_yago3_10(write_card: Write) -> None:
    write_card({"name": "quarter", "path": str(Path(OWN) / "YAGO3-10-quarter.tar.xz"), "counts": {"relations": 37}})
    counts = load("quarter").counts
    assert (counts["train"], counts["valid"], counts["test"]) == (269_760, 5_000, 5_000)
