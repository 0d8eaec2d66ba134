"""Which data sets there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from emugraph import InputError
from emugraph.datasets import broken_cards, find_card, is_known, list_cards
from emugraph.datasets.locate import BUNDLED

if TYPE_CHECKING:
    from .conftest import Toy

Write = Callable[[dict[str, Any]], Path]

SHIPPED = ["codex-l", "codex-m", "codex-s", "fb15k-237", "kinships", "nations", "umls", "wn18rr", "yago3-10"]


def cards_folder() -> Path:
    return Path(os.environ["EMUGRAPH_CARDS"])


def test_shipped() -> None:
    assert [card.name for card in list_cards()] == SHIPPED
    assert broken_cards() == []


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_cards_are_complete(name: str) -> None:
    card = find_card(name)
    assert all((card.title, card.description, card.licence, card.citation, card.homepage, card.format))
    assert all(getattr(card.counts, split) for split in ("train", "valid", "test"))
    assert card.citation.count("{") == card.citation.count("}") > 0
    for bundled in (card.bundled, card.names.bundled if card.names else None):
        assert bundled is None or (BUNDLED / bundled).is_file()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("wn18rr", (40_943, 11, 86_835, 3_034, 3_134)),
        ("fb15k-237", (14_541, 237, 272_115, 17_535, 20_466)),
        ("yago3-10", (123_182, 37, 1_079_040, 5_000, 5_000)),
        ("codex-s", (None, None, 32_888, 1_827, 1_828)),
        ("codex-m", (None, None, 185_584, 10_310, 10_311)),
        ("codex-l", (None, None, 551_193, 30_622, 30_622)),
        ("nations", (14, 55, 1_592, 199, 201)),
        ("kinships", (104, 25, 8_544, 1_068, 1_074)),
        ("umls", (135, 46, 5_216, 652, 661)),
    ],
)
def test_published_counts(name: str, counts: tuple[int | None, ...]) -> None:
    actual = find_card(name).counts
    assert (actual.entities, actual.relations, actual.train, actual.valid, actual.test) == counts


@pytest.mark.parametrize("name", ["fb15k-237", "FB15k-237", "FB15K-237"])
def test_upper_and_lower_case_are_the_same(name: str) -> None:
    assert is_known(name)
    assert find_card(name).name == "fb15k-237"


@pytest.mark.parametrize(("name", "nearest"), [("wn18r", "'wn18rr'"), ("FB15k", "'fb15k-237'"), ("yago", "'yago3-10'")])
def test_unknown_names(name: str, nearest: str) -> None:
    assert not is_known(name)
    with pytest.raises(
        InputError, match=rf"unknown data set '{name}'. Did you mean .*{nearest}.*emugraph datasets list"
    ):
        find_card(name)


def test_an_own_card(toy: Toy, write_card: Write) -> None:
    write_card(toy.archive_values(["https://example.org/toy.tar.gz"], b""))
    assert find_card("TOY").name == "toy"
    assert [card.name for card in list_cards()] == sorted([*SHIPPED, "toy"])


def test_a_broken_card_breaks_nothing_else(toy: Toy, write_card: Write) -> None:
    write_card(toy.archive_values(["https://example.org/toy.tar.gz"], b""))
    (cards_folder() / "broken.toml").write_text("name = broken", encoding="utf-8")
    (cards_folder() / "Shouting.toml").write_text('name = "shouting"\npath = "x"', encoding="utf-8")
    (cards_folder() / "folder.toml").mkdir()
    assert [card.name for card in list_cards()] == sorted([*SHIPPED, "toy"])
    assert find_card("wn18rr").title == "WN18RR"
    assert [str(error).split(" is ")[0].split(": ")[0] for error in broken_cards()] == [
        str(cards_folder() / "broken.toml"),
        f"cannot read {cards_folder() / 'folder.toml'}",
        str(cards_folder() / "Shouting.toml"),
    ]
    assert is_known("broken")
    with pytest.raises(InputError, match=r"broken.toml is not valid TOML"):
        find_card("broken")


@pytest.mark.parametrize("name", ["wn18rr", "WN18RR"])
def test_a_shipped_name_cannot_be_taken(name: str) -> None:
    (cards_folder() / f"{name}.toml").write_text('name = "wn18rr"\npath = "x"', encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}.toml has the name of a data set that is there already.*rename it"):
        find_card("wn18rr")
    assert "wn18rr" not in [card.name for card in list_cards()]
    assert len(broken_cards()) == 1


def test_no_folder_of_own_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMUGRAPH_CARDS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    assert [card.name for card in list_cards()] == SHIPPED
