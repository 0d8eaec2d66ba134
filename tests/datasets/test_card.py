"""Cards and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emugraph import InputError
from emugraph.datasets.card import Card, read_card
from emugraph.io import toml

SUM = "a" * 64
FILES = {split: {"name": f"{split}.txt", "sha256": SUM} for split in ("train", "valid", "test")}
ARCHIVE = {"name": "toy.tar.gz", "urls": ["https://example.org/toy.tar.gz"], "sha256": SUM}
GOOD: dict[str, Any] = {"name": "toy", "archive": ARCHIVE, "files": FILES}


def read(folder: Path, values: dict[str, Any], name: str = "toy.toml", **more: Any) -> Card:
    file = folder / name
    file.write_text(toml.dumps(values), encoding="utf-8")
    return read_card(file, **more)


def test_a_full_card(tmp_path: Path) -> None:
    card = read(
        tmp_path,
        {
            **GOOD,
            "title": "Toy",
            "description": "For tests.",
            "licence": "CC0",
            "citation": "nobody",
            "homepage": "https://example.org",
            "format": "csv",
            "counts": {"entities": 4, "train": 3},
            "names": {"format": "wikidata", "name": "names.json", "urls": ["https://example.org/n"], "md5": "b" * 32},
        },
    )
    assert (card.name, card.title, card.format, card.licence) == ("toy", "Toy", "csv", "CC0")
    assert card.archive is not None
    assert card.archive.urls == ("https://example.org/toy.tar.gz",)
    assert [(split, file.name, file.sha256) for split, file in card.files.by_split().items()] == [
        ("train", "train.txt", SUM), ("valid", "valid.txt", SUM), ("test", "test.txt", SUM),
    ]  # fmt: skip
    assert (card.counts.entities, card.counts.relations, card.counts.train) == (4, None, 3)
    assert card.names is not None
    assert (card.names.format, card.names.md5) == ("wikidata", "b" * 32)
    assert card.source == tmp_path / "toy.toml"
    assert card.local_path is None
    hash(card)
    with pytest.raises(ValueError, match="frozen"):
        card.title = "other"  # type: ignore[misc]


def test_files_with_addresses_of_their_own(tmp_path: Path) -> None:
    files = {split: {**file, "urls": [f"https://example.org/{split}"]} for split, file in FILES.items()}
    assert read(tmp_path, {"name": "toy", "files": files}).files.valid.urls == ("https://example.org/valid",)


@pytest.mark.parametrize(
    ("path", "actual"), [("data", "data"), ("../toy.zip", "../toy.zip"), ("/data/toy", "/data/toy")]
)
def test_a_path_of_the_users(tmp_path: Path, path: str, actual: str) -> None:
    card = read(tmp_path, {"name": "toy", "path": path})
    assert card.local_path == tmp_path / actual
    assert [file.name for file in card.files.by_split().values()] == ["train.txt", "valid.txt", "test.txt"]


def test_home_in_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert read(tmp_path, {"name": "toy", "path": "~/toy"}).local_path == Path("/home/somebody/toy")


def changed(*keys: str, to: Any = None) -> dict[str, Any]:
    """The good card with one value changed, or taken out."""
    values = {**GOOD, "archive": {**ARCHIVE}, "files": {split: {**file} for split, file in FILES.items()}}
    table = values
    for key in keys[:-1]:
        table = table.setdefault(key, {})
    if to is None:
        del table[keys[-1]]
    else:
        table[keys[-1]] = to
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed("licens", to="MIT"), r"unknown key 'licens'\. Did you mean 'licence'"),
        (changed("xyzzy", to=1), r"unknown key 'xyzzy'\.$"),
        (changed("archive", "url", to="https://a.b"), r"unknown key 'archive.url'\. Did you mean 'urls'\?"),
        (changed("files", "train", "sha265", to=SUM), r"unknown key 'files.train.sha265'\. Did you mean 'sha256'\?"),
        (changed("files", "dev", to={}), r"unknown key 'files.dev'\."),
        (changed("counts", "entity", to=3), r"unknown key 'counts.entity'\. Did you mean 'entities'\?"),
        (changed("name"), r"name is missing"),
        (changed("archive", "name"), r"archive.name is missing"),
        (changed("name", to=3), r"name = 3: input should be a valid string"),
        (changed("title", to=["a"]), r"title = \['a'\]: input should be a valid string"),
        (changed("counts", "train", to="many"), r"counts.train = 'many': input should be a valid integer"),
        (changed("counts", "train", to=3.0), r"counts.train = 3.0: input should be a valid integer"),
        (changed("counts", "train", to=True), r"counts.train = True: input should be a valid integer"),
        (changed("archive", "urls", to="https://a.b"), r"archive.urls = 'https://a.b': input should be a valid tuple"),
        (changed("archive", "urls", to=[1]), r"archive.urls.0 = 1: input should be a valid string"),
        (changed("archive", to="toy.zip"), r"archive = 'toy.zip': input should be"),
        (changed("archive", "size", to=-1), r"archive.size = -1: input should be greater than or equal to 0"),
        (changed("archive", "sha256", to="abc"), r"archive.sha256 = 'abc': string should match pattern"),
        (changed("archive", "sha256"), r"archive has no checksum; add sha256"),
        (changed("files", "test", "sha256"), r"files.test has no checksum; add sha256 \(sha256sum test.txt\)"),
        (
            changed("files", "train", "name", to="../train.txt"),
            r"files.train.name = '../train.txt': string should match",
        ),
        (changed("files", "train", "name", to=".hidden"), r"files.train.name = '.hidden': string should match"),
        (changed("files", "train", "name", to="test.txt"), r"files: two splits have the same name"),
        (changed("archive", "name", to="toy.rar"), r"archive.name = 'toy.rar': must end with .tar.gz"),
        (changed("archive", "name", to="a/toy.zip"), r"archive.name = 'a/toy.zip': string should match"),
        (changed("format", to="xml"), r"format = 'xml': input should be 'tsv' or 'csv'"),
        (changed("name", to="Toy"), r"name = 'Toy': string should match"),
        (changed("name", to="other"), r"name = 'other': the file must be called other.toml"),
        (changed("archive", "urls", to=["http://a.b/c"]), r"archive.urls: 'http://a.b/c' is not an https address"),
        (
            changed("archive", "urls", to=["https://a.b", "file:///etc/passwd"]),
            r"archive.urls: 'file:///etc/passwd' is",
        ),
        (changed("archive", "urls", to=[]), r"urls: give archive.urls, or urls for each"),
        (changed("archive"), r"urls: give archive.urls, or urls for each"),
        (changed("files", "train", "urls", to=["https://a.b"]), r"urls: give archive.urls, or urls for each"),
        (changed("path", to="data"), r"path: the data set lies on this machine"),
        (changed("bundled", to="toy.tar.xz"), r"bundled: only for data sets that come with emugraph"),
        (changed("names", to={"format": "tsv", "name": "n"}), r"names.urls is missing"),
        (changed("names", to={"format": "tsv", "name": "n", "urls": ["https://a.b"]}), r"names has no checksum"),
        (changed("names", to={"name": "n"}), r"names.format is missing"),
        (changed("names", to={"format": "tsv", "name": "n", "bundled": "n.xz"}), r"bundled: only for data sets"),
    ],
)
def test_one_sentence_names_file_and_key(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}/toy.toml: {message}"):
        read(tmp_path, values)


def test_names_to_download_need_a_sum_even_beside_a_path(tmp_path: Path) -> None:
    names = {"format": "tsv", "name": "n", "urls": ["https://example.org/n"]}
    with pytest.raises(InputError, match="names has no checksum"):
        read(tmp_path, {"name": "toy", "path": "data", "names": names})


def test_what_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text("name = toy", encoding="utf-8")
    with pytest.raises(InputError, match=r"toy.toml is not valid TOML: .*line 1"):
        read_card(tmp_path / "toy.toml")


def test_the_example_in_the_documentation(tmp_path: Path) -> None:
    from emugraph.datasets import card as module

    assert module.__doc__ is not None
    example = module.__doc__.split("::\n")[1].split("\nA user's own")[0].replace('"..."', f'"{SUM}"')
    (tmp_path / "toy.toml").write_text(
        "\n".join(line.removeprefix("    ") for line in example.split("\n"))
        + "".join(f'[files.{s}]\nname = "{s}.txt"\nsha256 = "{SUM}"\n' for s in ("valid", "test")),
        encoding="utf-8",
    )
    card = read_card(tmp_path / "toy.toml")
    assert card.counts.entities == 14
    assert card.names is not None
