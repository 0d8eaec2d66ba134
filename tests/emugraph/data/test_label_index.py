from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emugraph.data.label_index
from emugraph.data.label_index import LabelIndex
from emugraph.data.label_store import Labels

few_texts = st.lists(st.none() | st.text("ab\0é", max_size=3), max_size=60)


@pytest.fixture(params=["its own hash", "one hash for all", "two hashes"])
def _hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "its own hash":
        modulus = 1 if request.param == "one hash for all" else 2
        monkeypatch.setattr(emugraph.data.label_index, "_hash", lambda piece: -(len(piece) % modulus))


@given(few_texts)
def test_places_are_those_of_a_list(labels: list[str | None]) -> None:
    check(labels)


@pytest.mark.usefixtures("_hashes")
@pytest.mark.parametrize("block", [1, 7, 1 << 12])
@pytest.mark.parametrize("count", [0, 1, 2, 31, 1000])
def test_places_among_many(count: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emugraph.data.label_index, "BLOCK", block)
    check([f"Q{i}" for i in range(count)])
    check([None, *(f"Q{i * i % 97}" for i in range(count)), ""])


def check(labels: list[str | None]) -> None:
    """Compare with looking through the list."""
    lookup = LabelIndex(Labels(labels))
    for label in {*labels, "", "a", "absent", "\ud800", "Q1", "Q1\0"} - {None}:
        places = [place for place, other in enumerate(labels) if other == label]
        assert lookup.all(label) == places
        assert lookup.get(label) == (places[0] if places else None)
    repeated = [place for place, label in enumerate(labels) if label in labels[place + 1 :]]
    assert lookup.repeated() == (repeated[0] if repeated else None)
