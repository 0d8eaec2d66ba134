from __future__ import annotations

import copy
import io
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emugraph.data.label_store
from emugraph import InputError
from emugraph.data.label_store import Labels, read_labels, write_labels

texts = st.text(st.characters(exclude_categories=["Cs"]))
LABELS = ["", "Q1", 'quote " tab \t', "\n", "\x00", "a\x00", "日本語", "e\u0301", "\u2028\x85", "🙂", "x" * 70_000]


@pytest.fixture(params=[1, 3, 1 << 12], ids=lambda size: f"blocks of {size}")
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emugraph.data.label_store, "BLOCK", request.param)
    monkeypatch.setattr(emugraph.data.label_store, "_BYTES", 8 * request.param)


@given(st.lists(st.none() | texts))
def test_labels_are_what_was_given(labels: list[str | None]) -> None:
    made = Labels(labels)
    assert list(made) == labels
    assert [made[i] for i in range(-len(labels), len(labels))] == labels + labels
    assert made[1:5] == labels[1:5]
    assert made[::-2] == labels[::-2]
    assert made == labels
    assert labels == made
    assert made == Labels(iter(labels))
    assert made != [*labels, "x"]
    assert made != Labels([*labels, "x"])
    assert len(made) == len(labels)
    assert made.has_missing == (None in labels)
    assert made.nbytes == sum(1 if label is None else len(label.encode()) for label in labels)
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made)


@pytest.mark.usefixtures("_blocks")
def test_blocks_do_not_show(tmp_path: Path) -> None:
    labels = [*LABELS, None, *LABELS]
    assert list(Labels(labels)) == labels
    write_labels(tmp_path / "labels.json", Labels(labels))
    with (tmp_path / "labels.json").open("rb") as file:
        assert list(read_labels(file, optional=True)) == labels


def test_different_labels_of_the_same_characters_differ() -> None:
    assert Labels(["ab", "c"]) != Labels(["a", "bc"])
    assert Labels(["", "a"]) != Labels(["a", ""])
    assert Labels([None]) != Labels([""])
    assert Labels(["a"]) != "a"


def test_more_bytes_than_four_can_count(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Labels(LABELS)
    monkeypatch.setattr(emugraph.data.label_store, "BLOCK", 2)
    monkeypatch.setattr(emugraph.data.label_store, "_LARGEST_NARROW", 10)
    wide = Labels(LABELS)
    assert wide._starts.itemsize == 2 * narrow._starts.itemsize
    assert list(wide) == LABELS
    assert wide == narrow


def test_places_that_are_not_there() -> None:
    with pytest.raises(IndexError, match="there is no 2 among 2 labels"):
        Labels(["a", "b"])[2]
    with pytest.raises(IndexError, match="there is no -1 among 0 labels"):
        Labels([])[-1]


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InputError, match=r"the name 'a\\ud800' holds half a character"):
        Labels(["b", "a\ud800"], "name")


# ---------------------------------------------------------------- parts of labels


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize(
    ("part", "expected"),
    [("a", ["aab", "BAB", "a"]), ("ab", ["aab", "BAB"]), ("ba", ["BAB"]), ("bb", []), ("É", ["É"]), ("\ud800", [])],
)
def test_labels_that_contain_a_part(part: str, expected: list[str]) -> None:
    """No part is found across two labels: "aab", "BAB" would hold "bb"."""
    labels = Labels(["", "aab", "BAB", "", "a", "É", ""])
    assert labels.containing(part, 10) == expected
    assert labels.containing(part, 1) == expected[:1]


@given(st.lists(st.text("abA")), st.text("abA", min_size=1))
def test_labels_that_contain_any_part(labels: list[str], part: str) -> None:
    expected = [label for label in labels if part.lower() in label.lower()]
    assert Labels(labels).containing(part, 1000) == expected


# ---------------------------------------------------------------- files


@given(st.lists(st.none() | texts))
def test_files_hold_what_json_writes(tmp_path_factory: pytest.TempPathFactory, labels: list[str | None]) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.json"
    write_labels(path, labels)
    content = path.read_bytes()
    assert content.decode() == json.dumps(labels, ensure_ascii=False, indent=0) + "\n"
    assert read_labels(io.BytesIO(content), optional=True) == labels


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize(
    "content",
    [
        '["a","\\u0000","日本"]',
        '[ "a" , "\\u0000"\n, "日本" ]\n\n',
        '["a",\n"\\u0000",\n"日本"]',
        '[\r\n"a",\r\n"\\u0000",\r\n"日本"\r\n]',
    ],
)
def test_json_of_other_forms_is_read(content: str) -> None:
    assert read_labels(io.BytesIO(content.encode())) == ["a", "\0", "日本"]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize(
    "content",
    [
        "", "null", '"abc"', "{}", "[", "[1, 2]", "[null]", '["a",\nnull]', '[["a",\n"b"],\n"c"]', '["a"', '["a",\n',
        '["a",\n"b"],\n["c"]', '["a\n"]', '["a",\n"b', "[" * 99_999, "[" + "9" * 9999 + "]", '["a"] x',
    ],
)  # fmt: skip
def test_files_that_hold_no_labels(content: str) -> None:
    with pytest.raises(InputError, match="it is not a list of labels"):
        read_labels(io.BytesIO(content.encode()))


def test_files_that_are_not_utf8() -> None:
    with pytest.raises(InputError, match="it is not a list of labels"):
        read_labels(io.BytesIO(b'["\xff"]'))
    with pytest.raises(InputError, match="holds half a character"):
        read_labels(io.BytesIO(b'["\\ud800"]'))
