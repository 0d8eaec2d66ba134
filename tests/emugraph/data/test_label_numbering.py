from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emugraph.data.label_numbering
from emugraph.data.label_numbering import LabelNumbering

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a\0", min_size=120, max_size=140)


def check(blocks: list[list[str]]) -> None:
    """Compare with a dict."""
    numbering, expected = LabelNumbering(), dict[str, int]()
    for labels in blocks:
        assert numbering.of_labels(labels).tolist() == [expected.setdefault(label, len(expected)) for label in labels]
    assert list(numbering) == list(expected)
    assert len(numbering) == len(expected)


@given(st.lists(st.lists(texts)))
def test_numbers_follow_the_first_appearance(blocks: list[list[str]]) -> None:
    check(blocks)


EDGES = [
    "",
    "\0",
    "\0\0",
    "a",
    "a\0",
    *("x" * size for size in range(1, 140)),
    *("x" * size + "y" for size in range(139)),
]


def test_texts_that_differ_in_one_byte_or_in_zeros() -> None:
    check([EDGES, EDGES[::-1], [*EDGES, *EDGES]])


@pytest.mark.parametrize("modulus", [1, 3, 1 << 40])
def test_texts_that_share_a_hash(modulus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = LabelNumbering._hash
    monkeypatch.setattr(LabelNumbering, "_hash", lambda *given: real(*given) % np.uint64(modulus))
    check([EDGES, EDGES[::-1], [f"Q{i}" for i in range(700)], [f"Q{i}" for i in range(500, 900)], EDGES])


def test_many_texts_by_blocks() -> None:
    check([[f"Q{i * i % 9973}" for i in range(first, first + 3000)] for first in range(0, 30_000, 2000)])


def test_texts_within_one_and_no_others() -> None:
    numbering = LabelNumbering()
    text, starts, ends = "aébéa".encode(), np.array([0, 3, 1, 6]), np.array([1, 4, 3, 7])
    assert numbering.of(text, starts, ends).tolist() == [0, 1, 2, 0]
    assert list(numbering) == ["a", "b", "é"]


def test_keys_are_other_ones_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LabelNumbering()._keys != LabelNumbering()._keys
    monkeypatch.setattr(emugraph.data.label_numbering.secrets, "randbits", lambda count: (1 << count) - 1)
    check([EDGES])
