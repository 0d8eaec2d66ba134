from __future__ import annotations

import pytest

from emugraph import KnowledgeGraph, Settings
from emugraph.models import MODELS
from emugraph.training.presets import find_preset, read_presets
from emugraph.training.resolve import resolve_settings

DATASETS = ("wn18rr", "fb15k-237")
PAPERS = ("transe", "distmult", "complex", "rotate")


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


def test_changes_win_over_the_preset() -> None:
    preset, actual = resolve_settings(named("wn18rr"), "TransE", {})
    assert actual
    changed, _ = resolve_settings(named("WN18RR"), "transe", {"dim": 7})
    assert changed == preset.model_copy(update={"dim": 7})


def test_a_dimension_may_have_a_preset_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"transe": {"emu": {"dim": 100, "steps": 7}, "emu-200": {"dim": 200, "steps": 9, "measured": {}}}}
    monkeypatch.setattr("emugraph.training.presets.read_presets", lambda dataset: tables)
    assert find_preset("any", "transe", "emu", 200) == {"dim": 200, "steps": 9}
    for changes, expected in (({}, (100, 7)), ({"dim": 200}, (200, 9)), ({"dim": 50}, (50, 7))):
        settings, actual = resolve_settings(named("any"), "transe", changes, emu=True)
        assert actual
        assert (settings.dim, settings.steps) == expected
    assert find_preset("any", "transe", "plain", 200) is None


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
