from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

import emugraph
from emugraph import InputError, KnowledgeGraph, Settings
from emugraph.evaluation.ranking import Evaluator
from emugraph.tuning.search import RANGES, Range, tune

SMALL: dict[str, Any] = {"dim": 4, "steps": 6, "valid_every": 3, "batch_size": 32, "negatives": 16}


def test_the_best_trial_becomes_the_preset(grid: KnowledgeGraph, tmp_path: Path) -> None:
    actual = tune(grid, "distmult", trials=4, **SMALL)
    values = [trial.value for trial in actual.study.trials if trial.value is not None]
    assert actual.measured["valid_mrr"] == round(max(values), 4)
    assert actual.measured["trials"] == 4
    best = actual.study.best_trial
    assert {name: getattr(actual.settings, name) for name in best.params} == best.params
    assert actual.settings.dim == 4
    actual.write(tmp_path / "preset.toml", "the command")
    read = Settings.create(Settings.read(tmp_path / "preset.toml"))
    assert read == actual.settings
    run = emugraph.train(grid, settings=read, output=tmp_path / "run")
    assert round(run.metrics["valid"]["mrr"], 4) == actual.measured["valid_mrr"]


def test_optuna_speaks_as_loud_as_before(grid: KnowledgeGraph) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        seen = []
        tune(grid, "distmult", trials=1, on_trial=lambda *_: seen.append(optuna.logging.get_verbosity()), **SMALL)
        assert seen == [optuna.logging.ERROR]
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
        with pytest.raises(InputError):
            tune(grid, "distmult", trials=0)
        assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    finally:
        optuna.logging.set_verbosity(before)


def test_what_is_given_is_not_searched(grid: KnowledgeGraph) -> None:
    actual = tune(grid, "distmult", trials=1, reciprocal=False, beta=0.3, **SMALL)
    assert set(actual.study.best_params) == set(RANGES) - {"reciprocal", "beta", "batch_size", "negatives"}
    assert actual.settings.beta == 0.3
    plain = tune(grid, "distmult", trials=1, emu=False, **SMALL)
    assert set(plain.study.best_params) == {"learning_rate", "regularization", "init_scale", "reciprocal"}
    assert (plain.settings.mixing, plain.settings.beta) == ("none", 0.0)


def test_values_stay_in_their_ranges_and_the_first_are_the_usual_ones(grid: KnowledgeGraph) -> None:
    actual = tune(grid, "transe", trials=6, dim=4, steps=1, valid_every=1)
    for trial in actual.study.trials:
        for name, value in trial.params.items():
            range_ = RANGES[name]
            assert value in range_.choices if range_.choices else range_.low <= value <= range_.high
    usual = Settings.create({"model": "transe"})
    first = actual.study.trials[0].params
    for name in ("learning_rate", "mutation_rate", "beta", "alpha", "batch_size", "negatives", "reciprocal"):
        assert first[name] == getattr(usual, name)


def test_shares_that_are_all_tiny_end_no_study() -> None:
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(0, 30, (92, 2), generator=generator).tolist()
    triples = [(f"e{head}", "r", f"e{tail}") for head, tail in ends]
    kg = KnowledgeGraph.from_triples(triples[:90], triples[90:])
    actual = tune(kg, "distmult", trials=2, **{**SMALL, "dim": 64, "init_scale": 10.0})
    assert actual.measured["trials"] == 2


def test_the_same_seed_searches_the_same(grid: KnowledgeGraph) -> None:
    first, second, other = (tune(grid, "distmult", trials=3, seed=seed, **SMALL).study for seed in (1, 1, 2))
    assert [trial.params for trial in first.trials] == [trial.params for trial in second.trials]
    assert [trial.params for trial in first.trials] != [trial.params for trial in other.trials]


def test_the_test_triples_are_never_ranked(grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = []
    ranks = Evaluator.ranks

    def watched(self: Evaluator, model: Any, triples: Any, *arguments: Any, **options: Any) -> Any:
        ranked.extend(map(tuple, triples.tolist()))
        return ranks(self, model, triples, *arguments, **options)

    monkeypatch.setattr(Evaluator, "ranks", watched)
    tune(grid, "distmult", trials=2, **SMALL)
    assert set(ranked) == {tuple(triple) for triple in grid.valid.tolist()}


def test_trials_without_hope_are_ended(grid: KnowledgeGraph) -> None:
    """After four good trials, one whose learning rate does nothing is below the median."""

    def spoil(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.number == 4:
            study.enqueue_trial({**trial.params, "learning_rate": 5e-4})

    options = {"steps": 60, "valid_every": 10, "dim": 8, "batch_size": 84, "negatives": 16}
    actual = tune(grid, "distmult", trials=6, emu=False, regularization=0.0, on_trial=spoil, **options)
    last = actual.study.trials[5]
    assert last.params["learning_rate"] == 5e-4
    assert last.state.name == "PRUNED"
    assert max(last.intermediate_values) < 60


def test_a_trial_that_fails_does_not_end_the_study(grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RANGES, "init_scale", Range(choices=(0.1, 1e6)))  # the latter is beyond all floats, cubed twice

    def spoil(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if trial.number == 0:
            study.enqueue_trial({**trial.params, "init_scale": 1e6})

    actual = tune(grid, "distmult", trials=3, on_trial=spoil, regularization=0.1, regularization_power=7.0, **SMALL)
    first, second, _ = actual.study.trials
    assert (first.state.name, second.state.name) == ("COMPLETE", "FAIL")
    assert "not finite" in second.user_attrs["error"]
    assert actual.measured["trials"] == 3


def test_a_study_goes_on_where_it_stopped(grid: KnowledgeGraph, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    first = tune(grid, "distmult", trials=2, storage=storage, **SMALL)
    before = [trial.params for trial in first.study.trials]
    made: list[int] = []
    second = tune(
        grid, "distmult", trials=3, storage=storage, on_trial=lambda study, trial: made.append(trial.number), **SMALL
    )
    assert made == [2]
    assert [trial.params for trial in second.study.trials[:2]] == before
    assert second.measured["valid_mrr"] >= first.measured["valid_mrr"]


def test_a_study_of_something_else_is_refused(grid: KnowledgeGraph, family: KnowledgeGraph, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    tune(grid, "distmult", trials=1, storage=storage, name="mine", **SMALL)
    with pytest.raises(InputError, match="'mine' is of another graph; give it another name"):
        tune(family, "distmult", trials=2, storage=storage, name="mine", **SMALL)
    with pytest.raises(InputError, match="'mine' is of other settings"):
        tune(grid, "distmult", trials=2, storage=storage, name="mine", **{**SMALL, "dim": 5})
    with pytest.raises(InputError, match="'mine' is of other settings"):  # one that was searched is given
        tune(grid, "distmult", trials=2, storage=storage, name="mine", beta=0.5, **SMALL)


def test_a_killed_process_leaves_a_study_that_goes_on(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    code = (
        "import os, emugraph\n"
        "from emugraph.tuning.search import tune\n"
        "kg = emugraph.KnowledgeGraph.from_triples([('a', 'r', f'{i}') for i in range(9)], [('a', 'r', '1')])\n"
        f"tune(kg, 'transe', trials=9, storage={storage!r}, dim=4, steps=2, valid_every=2,\n"
        "     on_trial=lambda study, trial: os._exit(9) if trial.number == 1 else None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert done.returncode == 9
    kg = KnowledgeGraph.from_triples([("a", "r", f"{i}") for i in range(9)], [("a", "r", "1")])
    actual = tune(kg, "transe", trials=3, storage=storage, dim=4, steps=2, valid_every=2)
    assert len(actual.study.trials) == 3


def test_mistakes(grid: KnowledgeGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one is needed"):
        tune(grid, "distmult", trials=0)
    with pytest.raises(InputError, match="has no validation triples"):
        tune(KnowledgeGraph(grid.entities, grid.relations, grid.train), "distmult")
    with pytest.raises(InputError, match="unknown setting 'betta'. Did you mean 'beta'"):
        tune(grid, "distmult", trials=1, betta=0.3)
    for storage in ("nothing", f"sqlite:///{tmp_path}/no/such/folder.db"):
        with pytest.raises(InputError, match="cannot keep a study"):
            tune(grid, "distmult", trials=1, storage=storage)
