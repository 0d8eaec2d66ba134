from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from emugraph import InputError, Settings
from emugraph.reproduction import cells
from emugraph.reproduction.cells import METHODS, Cell, distinct, in_running_order, preset_cell, select

TABLES = {
    "emu": {"dim": 100, "steps": 50, "beta": 0.4, "mutation_rate": 0.6},
    "emu-200": {"dim": 200, "steps": 70, "beta": 0.3},
    "plain": {"dim": 100, "steps": 30, "regularization": 0.1},
}
EMU: dict[str, Any] = {"model": "distmult", "dim": 100, "steps": 50, "beta": 0.4, "mutation_rate": 0.6}


@pytest.fixture(autouse=True)
def _presets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emugraph.training.presets.read_presets", lambda dataset: {"distmult": TABLES})


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("emu", {**EMU, "mixing": "emu"}),
        ("no-uls", {**EMU, "mixing": "emu", "beta": 0.0}),
        ("no-mutation", {**EMU, "mixing": "none"}),
        ("neither", {**EMU, "mixing": "none", "beta": 0.0}),
        ("mixup", {**EMU, "mixing": "mixup"}),
        ("plain", {"model": "distmult", "steps": 30, "regularization": 0.1, "mixing": "none", "beta": 0.0}),
    ],
)
def test_methods_are_their_preset_with_what_they_change(method: str, expected: dict[str, Any]) -> None:
    cell = preset_cell("any", "distmult", method, seed=2)
    assert cell.settings == Settings(**expected, seed=2)
    assert (cell.dataset, cell.model, cell.method, cell.dim, cell.seed) == ("any", "distmult", method, 100, 2)


def test_every_method_is_tested() -> None:
    (mark,) = test_methods_are_their_preset_with_what_they_change.pytestmark  # type: ignore[attr-defined]
    assert [method for method, _ in mark.args[1]] == list(METHODS)


def test_a_cell_takes_the_preset_of_just_its_dimension() -> None:
    wide = preset_cell("any", "distmult", "no-mutation", dim=200)
    assert wide.settings == Settings(model="distmult", dim=200, steps=70, beta=0.3, mixing="none")
    for missing in (preset_cell("any", "distmult", "plain", dim=200), preset_cell("any", "transe", "emu")):
        assert missing.settings is None
        assert missing.key is None


def test_changes_and_a_bound_on_the_steps() -> None:
    cell = preset_cell("any", "distmult", "emu", most_steps=40, negatives="all", beta=0.1)
    assert cell.settings == Settings(**{**EMU, "steps": 40, "beta": 0.1, "negatives": "all"})
    assert preset_cell("any", "distmult", "plain", most_steps=40).settings.steps == 30  # type: ignore[union-attr]
    assert cell.title == "any DistMult emu d 100 seed 0, negatives all, beta 0.1"


def test_the_same_run_is_one_cell() -> None:
    plain = preset_cell("any", "distmult", "emu")
    same = preset_cell("ANY", "distmult", "emu", beta=0.4)  # the preset's own value
    other = replace(plain, sampler="another")
    assert distinct([plain, same, other]) == [plain, other]
    missing = preset_cell("any", "transe", "emu")
    assert distinct([missing, missing, preset_cell("any", "rotate", "emu")]) == [
        missing,
        preset_cell("any", "rotate", "emu"),
    ]


def test_running_order(small_cell: Callable[..., Cell]) -> None:
    asked = [
        small_cell(beta=0.1),
        small_cell(seed=1),
        small_cell(method="no-uls"),
        small_cell(method="plain"),
        small_cell(method="plain", seed=1),
        small_cell("transe"),
        small_cell(),
    ]
    asked = [cell if cell.settings.beta == 0.1 else replace(cell, changes=()) for cell in asked]  # type: ignore[union-attr]
    ordered = [asked[i] for i in (5, 6, 3, 2, 1, 4, 0)]
    assert in_running_order(asked) == ordered


def test_select(small_cell: Callable[..., Cell]) -> None:
    asked = [small_cell(model, seed=seed) for model in ("transe", "distmult") for seed in (0, 1)]
    assert select(asked, model=["DistMult"], seed=[1], dataset=[]) == [asked[3]]
    assert select(asked, seed=[0, 1]) == asked
    with pytest.raises(InputError, match="no cell has the model 'transee'; there are: transe, distmult. Did you mean"):
        select(asked, model=["transee"])
    with pytest.raises(InputError, match=r"no cell has the seed 7; there are: 0, 1\."):
        select(asked, seed=[7])
    with pytest.raises(InputError, match="no cell has all of: model transe; seed 1"):
        select(asked[:1] + asked[3:], model=["transe"], seed=[1])


def test_titles_are_known_for_all_that_is_in_the_tables() -> None:
    from emugraph.reproduction.experiments import DATASETS, MODELS

    assert all(cells.title_of(name) != name for name in (*DATASETS, *MODELS))
