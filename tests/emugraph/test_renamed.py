"""Old names: they give what the new ones do, and warn once with the new one."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path

import pytest
import torch

import emugraph
from emugraph import _renamed
from emugraph.cli.main import main
from emugraph.models import DistMult, TransEL2

OLD_NAMES: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "data" / "old_names.json").read_text(encoding="utf-8")
)
"""The public names of each module of the version before."""


@pytest.mark.parametrize("old", OLD_NAMES)
@pytest.mark.filterwarnings("ignore:emugraph:DeprecationWarning")
def test_a_module_still_has_what_it_had(old: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    assert [name for name in OLD_NAMES[old] if not hasattr(module, name)] == []


@pytest.mark.parametrize(("old", "new"), _renamed.MODULES.items())
def test_a_name_of_an_old_module_is_the_new_one_and_warns(old: str, new: str) -> None:
    module, current = importlib.import_module(f"emugraph.{old}"), importlib.import_module(f"emugraph.{new}")
    name = next((name for name in OLD_NAMES[old] if hasattr(current, name)), None)
    if name is None:
        pytest.skip("all of its names are others now")
    with pytest.warns(DeprecationWarning, match=rf"emugraph\.{old}\.{name} is now emugraph\.") as caught:
        assert getattr(module, name) is getattr(current, name)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(("old", "name"), [(old, name) for old, names in _renamed.NAMES.items() for name in names])
def test_a_name_that_went_elsewhere_is_found(old: str, name: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    with pytest.warns(DeprecationWarning, match=f"emugraph.{old}.{name} is now"):
        assert getattr(module, name) is not None


def test_the_warning_points_to_who_uses_the_name() -> None:
    with pytest.warns(DeprecationWarning, match="is now") as caught:
        from emugraph.graph import KnowledgeGraph  # type: ignore[import-not-found]
    assert [warning.filename for warning in caught] == [__file__]
    assert KnowledgeGraph is emugraph.KnowledgeGraph


def test_a_name_that_never_was_is_an_attribute_error_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImportError, match="cannot import name 'nothing'"):
            from emugraph.graph import nothing  # type: ignore[import-not-found]  # noqa: F401
        with pytest.raises(AttributeError, match=r"module 'emugraph\.evaluation' has no attribute 'nothing'"):
            importlib.import_module("emugraph.evaluation").nothing  # noqa: B018
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("emugraph.never_was")


def test_names_of_settings_options_and_methods(
    family: emugraph.KnowledgeGraph, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(DeprecationWarning, match="the setting mask_run is now mask_group") as caught:
        settings = emugraph.Settings.create({"mask_run": 8})
    assert [warning.filename for warning in caught] == [__file__]
    assert settings.mask_group == 8
    with pytest.warns(DeprecationWarning, match="sides = in-turn is now sides = alternating"):
        assert emugraph.Settings(sides="in-turn").sides == "alternating"  # type: ignore[arg-type]
    with pytest.raises(emugraph.InputError, match="mask_run is now mask_group, and both are there"):
        emugraph.Settings.create({"mask_run": 8, "mask_group": 8})
    model = DistMult(5, 2, 4)
    ids = torch.tensor([1]), torch.tensor([0])
    with pytest.warns(DeprecationWarning, match=r"Model\.ask is now Model\.embed_queries"):
        assert torch.equal(model.ask(*ids, "tail"), model.embed_queries(*ids, "tail"))
    with pytest.warns(DeprecationWarning, match=r"Model\.outer is now Model\.link"):
        assert model.outer(torch.ones(1)) == 1
    monkeypatch.setattr("sys.argv", ["emugraph", "train", "--mask-run=8", "no such folder/"])
    with pytest.raises(SystemExit):
        main()
    error = capsys.readouterr().err
    assert "--mask-run is now --mask-group" in error
    assert "no such folder" in error


def test_a_model_of_ones_own_with_an_outer_function_has_it_as_its_link() -> None:
    with pytest.warns(DeprecationWarning, match=r"Doubled\.outer is now link"):

        class Doubled(DistMult):
            name = "doubled"

            def outer(self, total: torch.Tensor) -> torch.Tensor:
                return 2 * total

    assert Doubled(5, 2, 4).link(torch.ones(1)) == 2


def test_an_outer_function_over_its_parents_ends() -> None:
    with pytest.warns(DeprecationWarning, match=r"Halved\.outer is now link"):

        class Halved(TransEL2):
            name = "halved"

            def outer(self, total: torch.Tensor) -> torch.Tensor:
                return super().outer(total) / 2

    with pytest.warns(DeprecationWarning, match=r"Model\.outer is now Model\.link"):
        assert Halved(5, 2, 4).link(torch.tensor(-4.0)) == TransEL2(5, 2, 4).link(torch.tensor(-4.0)) / 2


def test_keywords_by_their_old_names(run_folder: Path) -> None:
    run = emugraph.load(run_folder)
    query = (run.kg.entities[0], run.kg.relations[0], None)
    with pytest.warns(DeprecationWarning, match=r"TrainedModel\.predict\(questions=\.\.\.\) is now queries="):
        (prediction,) = run.predict(questions=[query], k=1)  # type: ignore[call-arg]
    assert prediction == run.predict([query], k=1)[0]
    with pytest.warns(DeprecationWarning, match=r"Prediction\.asked is now Prediction\.target"):
        assert prediction.asked == "tail"
