from __future__ import annotations

import pytest

from emugraph import KnowledgeGraph, Settings
from emugraph.models import MODELS
from emugraph.presets import find_preset, read_presets
from emugraph.training import resolve_settings

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
            settings, found = resolve_settings(named(dataset), model, {}, emu=method == "emu")
            assert found
            assert settings.model == model
            assert settings.mixing == ("emu" if method == "emu" else "none")


def test_there_is_none_for_other_names() -> None:
    assert find_preset("family", "transe", "emu") is None
    assert find_preset("../settings", "transe", "emu") is None


def named(name: str) -> KnowledgeGraph:
    return KnowledgeGraph.from_triples([("a", "r", "b")], name=name)


def test_changes_win_over_the_preset() -> None:
    preset, found = resolve_settings(named("wn18rr"), "TransE", {})
    assert found
    changed, _ = resolve_settings(named("WN18RR"), "transe", {"dim": 7})
    assert changed == preset.model_copy(update={"dim": 7})


def test_without_a_preset_both_methods_have_defaults() -> None:
    plain, found = resolve_settings(named("family"), "transe", {})
    assert not found
    assert plain == Settings(model="transe", mixing="none", beta=0)
    with_emu, _ = resolve_settings(named("family"), "transe", {}, emu=True)
    assert with_emu == Settings(model="transe")
    assert (with_emu.mixing, with_emu.beta > 0) == ("emu", True)
