from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from emugraph import KnowledgeGraph, Settings, datasets, load_dataset
from emugraph.models import MODELS
from emugraph.runs.contents import read_graph, write_graph
from emugraph.runs.folder import RunFolder
from emugraph.training.presets import dataset_of, find_preset, read_presets
from emugraph.training.resolve import resolve_settings

DATASETS = ("wn18rr", "fb15k-237")
PAPERS = ("transe", "distmult", "complex", "rotate")


@pytest.fixture
def by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has presets go by a graph's name, so that one triple stands for a data set."""
    monkeypatch.setattr("emugraph.training.resolve.dataset_of", lambda kg: kg.name)


@pytest.mark.usefixtures("by_name")
@pytest.mark.parametrize("dataset", DATASETS)
def test_presets_are_settings_with_what_they_reached(dataset: str) -> None:
    presets = read_presets(dataset)
    assert set(presets) >= set(PAPERS)
    for model, methods in presets.items():
        assert model in MODELS
        for method, table in methods.items():
            measured = table["measured"]
            assert {"test_mrr", "test_hits@10", "valid_mrr", "seeds", "seconds", "machine", "command"} <= set(measured)
            assert 0 < measured["test_mrr"] < 1
            kind, _, of = method.partition("-")  # "emu", "emu-200" for d = 200, "emu-khop" for a sampler
            assert table["dim"] == (int(of) if of.isdigit() else 100)
            assert table.get("sampler", "uniform") == (of if of and not of.isdigit() else "uniform")
            changes = {name: table[name] for name in ("dim", "sampler") if name in table}
            settings, actual = resolve_settings(named(dataset), model, changes, emu=kind == "emu")
            assert actual
            assert (settings.model, settings.dim, settings.steps) == (model, table["dim"], table["steps"])
            assert settings.mixing == ("emu" if kind == "emu" else "none")


def test_there_is_none_for_other_names() -> None:
    assert find_preset("family", "transe", "emu") is None
    assert find_preset("../settings", "transe", "emu") is None


def named(name: str) -> KnowledgeGraph:
    return KnowledgeGraph.from_triples([("a", "r", "b")], name=name)


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_file_has_its_data_sets_fingerprint(dataset: str) -> None:
    if datasets.where(dataset) is None:
        pytest.skip(f"{dataset} is not on this machine")
    assert dataset_of(load_dataset(dataset)) == dataset


def test_another_graph_of_the_name_has_no_preset(tmp_path: Path) -> None:
    folder = tmp_path / "wn18rr"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text("a\tr\tb\n", encoding="utf-8")
    kg = load_dataset(folder)
    assert kg.name == "wn18rr"
    assert resolve_settings(kg, "transe", {}) == (Settings(model="transe"), False)


def test_only_a_graph_of_the_same_counts_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emugraph.training.presets.fingerprint", lambda kg: pytest.fail("read whole"))
    assert dataset_of(named("wn18rr")) is None


def test_a_graph_of_the_same_counts_has_no_preset() -> None:
    kg = load_dataset("wn18rr")
    other = KnowledgeGraph(kg.entities, kg.relations, kg.train.flip(0), kg.valid, kg.test, name="wn18rr")
    assert not resolve_settings(other, "transe", {})[1]


def test_the_data_set_has_its_preset_wherever_it_comes_from(tmp_path: Path) -> None:
    kg = load_dataset("wn18rr")
    kg.to_files(tmp_path / "copy")
    with RunFolder.create(tmp_path / "run") as folder:
        write_graph(folder, kg)
    copies = load_dataset(tmp_path / "copy"), pickle.loads(pickle.dumps(kg)), read_graph(folder, "wn18rr")
    expected, actual = resolve_settings(kg, "transe", {})
    assert actual
    assert expected != Settings(model="transe")
    for copy in copies:
        assert resolve_settings(copy, "transe", {}) == (expected, True)


@pytest.mark.usefixtures("by_name")
def test_changes_win_over_the_preset() -> None:
    preset, actual = resolve_settings(named("wn18rr"), "TransE", {})
    assert actual
    changed, _ = resolve_settings(named("WN18RR"), "transe", {"dim": 7})
    assert changed == preset.model_copy(update={"dim": 7})


@pytest.mark.usefixtures("by_name")
def test_a_dimension_may_have_a_preset_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"transe": {"emu": {"dim": 100, "steps": 7}, "emu-200": {"dim": 200, "steps": 9, "measured": {}}}}
    monkeypatch.setattr("emugraph.training.presets.read_presets", lambda dataset: tables)
    assert find_preset("any", "transe", "emu", 200) == {"dim": 200, "steps": 9}
    for changes, expected in (({}, (100, 7)), ({"dim": 200}, (200, 9)), ({"dim": 50}, (50, 7))):
        settings, actual = resolve_settings(named("any"), "transe", changes, emu=True)
        assert actual
        assert (settings.dim, settings.steps) == expected
    assert find_preset("any", "transe", "plain", 200) is None


@pytest.mark.usefixtures("by_name")
def test_a_sampler_may_have_a_preset_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"dim": 100, "learning_rate": 0.5, "batch_size": 5000, "negatives": 2000, "mask_group": 8}
    own = {"dim": 100, "learning_rate": 0.25, "sampler": "khop", "negatives": 9}
    monkeypatch.setattr(
        "emugraph.training.presets.read_presets", lambda name: {"transe": {"emu": shared, "emu-khop": own}}
    )
    settings, actual = resolve_settings(named("any"), "transe", {"sampler": "khop"})
    assert actual
    assert (settings.sampler, settings.learning_rate, settings.negatives) == ("khop", 0.25, 9)
    assert find_preset("any", "transe", "emu", 100, "walk") is None
    # Negatives of each positive's own have what is not meant for shared ones, whatever the sampler.
    for changes in ({"sampler": "walk"}, {"sharing": "per-positive"}, {"filtered": True}, {"sampler": "khop + walk"}):
        settings, actual = resolve_settings(named("any"), "transe", {**changes, "dim": 7})
        assert actual
        assert (settings.learning_rate, settings.dim) == (0.5, 7)
        assert (settings.batch_size, settings.negatives, settings.mask_group) == (1000, 256, 16)
    for sampler in ("bernoulli", "Uniform", "2*uniform"):
        settings, _ = resolve_settings(named("any"), "transe", {"sampler": sampler})
        assert (settings.batch_size, settings.negatives, settings.mask_group) == (5000, 2000, 8)
    assert not resolve_settings(named("any"), "rotate", {"sampler": "walk"})[1]


def test_without_a_preset_both_methods_have_defaults() -> None:
    plain, actual = resolve_settings(named("family"), "transe", {}, emu=False)
    assert not actual
    assert plain == Settings(model="transe", mixing="none", beta=0)
    with_emu, _ = resolve_settings(named("family"), "transe", {})
    assert with_emu == Settings(model="transe")
    assert (with_emu.mixing, with_emu.beta > 0) == ("emu", True)
