from __future__ import annotations

import copy
import pickle

import pytest

import emugraph.data.vocabulary
from emugraph import InputError, Vocabulary
from emugraph.data.label_store import Labels


@pytest.fixture(autouse=True, params=["few", "many"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with ids in a dict, and with those of many labels."""
    if request.param == "many":
        monkeypatch.setattr(emugraph.data.vocabulary, "SMALL", -1)


LABELS = ["Dog", "", "cat", "a\nb", "\0", "日本", "cat\0", "nan"]


def test_labels_and_ids() -> None:
    for vocabulary in (Vocabulary(LABELS, "entity"), Vocabulary(Labels(LABELS)), Vocabulary(iter(LABELS))):
        assert list(vocabulary) == LABELS
        assert vocabulary.labels == LABELS
        assert len(vocabulary) == len(LABELS)
        assert [vocabulary[i] for i in range(-8, 8)] == LABELS + LABELS
        assert [vocabulary.id(label) for label in LABELS] == list(range(8))
        assert [vocabulary.get(label) for label in LABELS] == list(range(8))
        assert all(label in vocabulary for label in LABELS)


@pytest.mark.parametrize("label", ["dog", "cat\0\0", "ca", "日", "\ud800"])
def test_labels_that_are_not_there(label: str) -> None:
    vocabulary = Vocabulary(LABELS)
    assert label not in vocabulary
    assert vocabulary.get(label) is None
    with pytest.raises(InputError, match="unknown label"):
        vocabulary.id(label)
    assert 3 not in vocabulary
    assert None not in vocabulary
    assert [] not in vocabulary


def test_an_empty_vocabulary() -> None:
    vocabulary = Vocabulary([])
    assert len(vocabulary) == 0
    assert list(vocabulary) == []
    assert "" not in vocabulary
    with pytest.raises(InputError, match="unknown label ''"):
        vocabulary.id("")
    with pytest.raises(IndexError):
        vocabulary[0]


def test_labels_that_occur_twice() -> None:
    """The first label that occurs again is named."""
    with pytest.raises(InputError, match="the entity label 'b' occurs twice in the vocabulary"):
        Vocabulary(["a", "b", "c", "d", "c", "b", "b"], "entity")
    with pytest.raises(InputError, match="the label label '' occurs twice"):
        Vocabulary(["", "a", ""])


def test_what_is_no_label() -> None:
    with pytest.raises(InputError, match=r"the entity label 'a\\udc80' holds half a character, which no file can"):
        Vocabulary(["b", "a\udc80"], "entity")
    with pytest.raises(InputError, match="a relation label is None"):
        Vocabulary(Labels(["a", None]), "relation")  # type: ignore[arg-type]


def test_equality() -> None:
    assert Vocabulary(["a", "b"], "entity") == Vocabulary(["a", "b"], "relation")
    assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
    assert Vocabulary(["a", "b"]) != ["a", "b"]


def test_copies() -> None:
    vocabulary = Vocabulary(LABELS, "entity")
    for copied in (pickle.loads(pickle.dumps(vocabulary)), copy.copy(vocabulary), copy.deepcopy(vocabulary)):
        assert copied == vocabulary
        assert copied.kind == "entity"
        assert copied.id("cat") == 2
        assert copied.get("ant") is None


@pytest.mark.parametrize("slip", ["Q759408", "Q75940889", "q7594088", "Q7594O88", "Q7594888", "QQ7594088", "7594088"])
def test_the_nearest_labels(slip: str) -> None:
    vocabulary = Vocabulary([*(f"P{i}" for i in range(300)), "Q7594088", "Q1"], "entity")
    with pytest.raises(InputError, match=rf"unknown entity '{slip}'\. Did you mean 'Q7594088'"):
        vocabulary.id(slip)


def test_nothing_is_near() -> None:
    for asked in ("", "x", "entirely another"):
        with pytest.raises(InputError, match=rf"unknown label '{asked}'\.$"):
            Vocabulary(["Q1", "Q2"]).id(asked)
