from __future__ import annotations

from typing import Any

import pytest

from emugraph import InputError, KnowledgeGraph
from emugraph.reproduction.cells import distinct
from emugraph.reproduction.experiments import APPENDIX_STEPS, EXPERIMENTS, Experiment, build
from emugraph.training.presets import read_presets
from emugraph.training.resolve import resolve_settings

EMU: dict[str, Any] = {"dim": 100, "steps": 20_000, "beta": 0.4}


@pytest.fixture
def long_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        f"{method}{suffix}": {**EMU, **own, "dim": dim}
        for method, own in (("emu", {}), ("plain", {"regularization": 0.1}))
        for suffix, dim in (("", 100), ("-200", 200))
    }
    presets = dict.fromkeys(("transe", "distmult", "complex", "rotate"), tables)
    monkeypatch.setattr("emugraph.training.presets.read_presets", lambda dataset: presets)


def one(name: str) -> Experiment:
    (experiment,) = build([name])
    return experiment


def values(experiment: Experiment, *names: str) -> set[tuple[Any, ...]]:
    return {tuple(getattr(cell.settings, name) for name in names) for cell in experiment.cells}


def test_names_and_shape_of_all() -> None:
    assert [experiment.name for experiment in build()] == list(EXPERIMENTS)
    for experiment in build():
        for table in experiment.tables:
            assert all(len(row.entries) == len(table.columns) for row in table.rows)
            assert all(
                len({(cell.dataset, cell.model, cell.method, cell.dim, cell.changes) for cell in entry}) == 1
                for row in table.rows
                for entry in row.entries
            )
    with pytest.raises(InputError, match="unknown experiment 'tabel2'; known: table2, .*Did you mean 'table2'"):
        build(["tabel2"])


@pytest.mark.usefixtures("long_presets")
def test_the_papers_tables() -> None:
    table2, table3, larger = build(["table2", "table3", "larger"])
    # Two data sets, four models; three seeds of two methods and one of three.
    assert len(table2.cells) == 2 * 4 * (2 * 3 + 3)
    assert len(table3.cells) == 2 * 4 * 2
    assert len(larger.cells) == 2 * 4
    assert {cell.dim for cell in larger.cells} == {200}
    assert {cell.method for cell in table2.cells} == {"emu", "no-uls", "no-mutation", "neither", "plain"}
    assert {cell.seed for cell in table2.cells if cell.method == "no-uls"} == {0}
    assert values(table2, "steps") == {(20_000,)}
    assert {cell.key for cell in table3.cells if cell.method == "emu"} <= {cell.key for cell in table2.cells}


@pytest.mark.usefixtures("long_presets")
def test_the_appendices_are_short_and_change_what_they_name() -> None:
    for name in ("negatives", "sensitivity", "label-smoothing", "beyond"):
        experiment = one(name)
        assert {(cell.dataset, cell.dim, cell.seed) for cell in experiment.cells} == {("fb15k-237", 100, 0)}
        assert values(experiment, "steps") == {(APPENDIX_STEPS,)}
        assert f"{APPENDIX_STEPS:,} steps" in experiment.caption
    assert values(one("negatives"), "negatives", "mixing") == {
        (count, mixing) for count in (16, 64, 256, 1024, 4096) for mixing in ("emu", "none")
    }
    rates, betas, alphas = one("sensitivity").tables
    assert [cell.settings.mutation_rate for cell in rates.cells if cell.settings] == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert [cell.settings.beta for cell in betas.cells if cell.settings] == [0, 0.25, 0.5, 0.75, 1]
    assert [cell.settings.alpha for cell in alphas.cells if cell.settings] == [0, 0.03, 0.1, 0.3, 1]
    assert values(one("label-smoothing"), "labels", "beta", "mixing") == {
        (labels, beta, mixing)
        for labels in ("unbounded", "smoothed")
        for beta in (0.1, 0.3, 0.5)
        for mixing in ("emu", "none")
    }
    every, losses = one("beyond").tables
    assert {cell.settings.negatives for cell in every.cells if cell.settings} == {"all"}
    assert {(cell.model, cell.settings.loss, cell.settings.mixing, cell.settings.beta)
            for cell in losses.cells if cell.settings} == {
        (model, loss, *kind)
        for model in ("transe", "distmult")
        for loss in ("self-adversarial", "margin-ranking", "binary-cross-entropy")
        for kind in (("emu", 0.4), ("none", 0.0))
    }  # fmt: skip
    # A distance's score is never positive, a product's is: only the first has something added to it.
    assert {cell.settings.margin for cell in losses.cells if cell.settings and cell.model == "transe"} == {9.0}
    margins = {
        cell.settings.loss: cell.settings.margin for cell in losses.cells if cell.settings and cell.model != "transe"
    }
    assert margins == {"self-adversarial": 0.0, "margin-ranking": 1.0, "binary-cross-entropy": 0.0}


def test_every_preset_is_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emugraph.training.resolve.dataset_of", lambda kg: kg.name)
    cells = [*one("table2").cells, *one("larger").cells, *one("samplers").cells]
    for dataset in ("fb15k-237", "wn18rr"):
        for model, methods in read_presets(dataset).items():
            for table in methods:
                method, _, of = table.partition("-")
                dim, sampler = (int(of), "uniform") if of.isdigit() else (100, of or "uniform")
                asked = (dataset, model, method, dim, sampler)
                actual = distinct(
                    cell for cell in cells if (cell.dataset, cell.model, cell.method, cell.dim, cell.sampler) == asked
                )
                assert len(actual) == (1 if of else 3)
                graph = KnowledgeGraph.from_triples([("a", "r", "b")], name=dataset)
                for cell in actual:  # the same as `emugraph train` takes
                    changes = {"dim": cell.dim, "seed": cell.seed}
                    if sampler != "uniform":
                        changes["sampler"] = sampler
                    assert cell.settings == resolve_settings(graph, model, changes, emu=method == "emu")[0]
