"""Old names: they give what the new ones do, and warn once with the new one."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import pytest
import torch

import emugraph
from emugraph import _renamed
from emugraph.cli.main import main
from emugraph.models import DistMult


@pytest.mark.parametrize("old", sorted(_renamed.MODULES))
def test_an_old_module_has_what_the_new_one_has(old: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    new = importlib.import_module(f"emugraph.{_renamed.MODULES[old]}")
    public = [
        name
        for name, value in vars(new).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == new.__name__
    ]
    for name in public:
        with pytest.warns(DeprecationWarning, match=f"emugraph.{old}.{name} is now emugraph.{new.__name__[9:]}.{name}"):
            assert getattr(module, name) is getattr(new, name)


@pytest.mark.parametrize(("old", "name"), [(old, name) for old, names in _renamed.NAMES.items() for name in names])
def test_a_name_that_went_elsewhere_is_found(old: str, name: str) -> None:
    module = importlib.import_module(f"emugraph.{old}")
    with pytest.warns(DeprecationWarning, match=f"emugraph.{old}.{name} is now"):
        assert getattr(module, name) is not None


@pytest.mark.parametrize(
    ("package", "names"),
    {
        "runs": "Run train load resume default_folder check_new",
        "training": "Trainer distinct build_optimizer resolve_settings",
        "evaluation": "HITS SCORE_BYTES check_model score_blocks Ranks Evaluator evaluate summarize",
        "prediction": "Part COLUMN LookUp Answers Block Predictor check_splits",
        "embeddings": "INVERSE PARTS Table tables_of start_from attach",
        "tuning": "HEARTBEAT Range RANGES Tuned tune",
    }.items(),
)
@pytest.mark.filterwarnings("ignore:emugraph:DeprecationWarning")
def test_a_package_with_the_name_of_an_old_module_has_all_that_it_had(package: str, names: str) -> None:
    module = importlib.import_module(f"emugraph.{package}")
    assert [name for name in names.split() if not hasattr(module, name)] == []


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
    with pytest.warns(DeprecationWarning, match="the setting mask_run is now mask_group"):
        settings = emugraph.Settings.create({"mask_run": 8})
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


def test_keywords_by_their_old_names(run_folder: Path) -> None:
    run = emugraph.load(run_folder)
    query = (run.kg.entities[0], run.kg.relations[0], None)
    with pytest.warns(DeprecationWarning, match=r"TrainedModel\.predict\(questions=\.\.\.\) is now queries="):
        (prediction,) = run.predict(questions=[query], k=1)  # type: ignore[call-arg]
    assert prediction == run.predict([query], k=1)[0]
    with pytest.warns(DeprecationWarning, match=r"Prediction\.asked is now Prediction\.target"):
        assert prediction.asked == "tail"
