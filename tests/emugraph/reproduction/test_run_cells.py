from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import emugraph
from emugraph import EmugraphError, InputError, KnowledgeGraph
from emugraph.reproduction.cells import Cell, preset_cell
from emugraph.reproduction.results import append_result, read_results
from emugraph.reproduction.run_cells import Outcome, run_cells, status
from emugraph.runs.callbacks import Callback
from emugraph.training.trainer import Trainer

MakeCell = Callable[..., Cell]


class Seeds(Callback):
    """Notes which seeds are trained, and interrupts the training of one of them."""

    def __init__(self, interrupt: int | None = None) -> None:
        self.seen: list[int] = []
        self.interrupt = interrupt

    def on_start(self, trainer: Trainer, path: Path) -> None:
        self.seen.append(trainer.settings.seed)

    def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
        if trainer.settings.seed == self.interrupt:
            raise KeyboardInterrupt


@pytest.fixture
def run(grid: KnowledgeGraph, tmp_path: Path) -> Callable[..., list[Outcome]]:
    """Runs cells on the grid with the results in paper.jsonl."""

    def run(cells: list[Cell], **options: Any) -> list[Outcome]:
        return list(run_cells(cells, tmp_path / "paper.jsonl", load=lambda name: grid, **options))

    return run


def test_a_result_is_what_training_gives(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, grid: KnowledgeGraph, tmp_path: Path
) -> None:
    cell = small_cell("transe", "no-uls", seed=3, beta=0.0)
    (outcome,) = run([cell])
    (result,) = read_results(tmp_path / "paper.jsonl")
    assert outcome == Outcome(cell, 1, 1, result)
    assert str(outcome).startswith(f"1/1 grid TransE no-uls d 4 seed 3, beta 0.0: MRR {result.mrr:.4f} in ")
    again = emugraph.train(grid, settings=cell.settings, output=tmp_path / "again")
    assert (result.mrr, result.hits_at_10) == (again.metrics["test"]["mrr"], again.metrics["test"]["hits@10"])
    assert (result.valid_mrr, result.steps) == (again.metrics["valid"]["mrr"], 4)
    assert (result.dataset, result.method, result.version) == ("grid", "no-uls", emugraph.__version__)
    assert ", 1 thread of " in result.machine
    assert result.key == cell.key


def test_an_interrupted_run_goes_on_where_it_was(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path
) -> None:
    cells = [small_cell(seed=seed) for seed in range(3)]
    first = Seeds(interrupt=1)
    with pytest.raises(KeyboardInterrupt):
        run(cells, callbacks=[first], keep=tmp_path / "kept")
    assert first.seen == [0, 1]
    assert [result.seed for result in read_results(tmp_path / "paper.jsonl")] == [0]
    assert [entry.state for entry in status(cells, tmp_path / "paper.jsonl")] == ["done", "open", "open"]
    second = Seeds()
    outcomes = run(cells, callbacks=[second], keep=tmp_path / "kept")
    assert second.seen == [1, 2]
    assert [(outcome.number, outcome.total) for outcome in outcomes] == [(2, 3), (3, 3)]
    assert run(cells, callbacks=[second]) == []
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == [f"grid-distmult-emu-d-4-seed-{seed}" for seed in range(3)]
    assert emugraph.load(tmp_path / "kept" / kept[1]).settings == cells[1].settings


def test_a_folder_that_is_kept_replaces_no_other(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path
) -> None:
    cell = small_cell()
    run([cell], keep=tmp_path / "kept")
    (tmp_path / "paper.jsonl").unlink()
    run([cell], keep=tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "grid-distmult-emu-d-4-seed-0",
        "grid-distmult-emu-d-4-seed-0-2",
    ]


def test_run_folders_are_removed(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run([small_cell()])
    assert [path.name for path in tmp_path.iterdir()] == ["paper.jsonl"]


def test_a_changed_preset_opens_a_cell_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result_of: Any) -> None:
    path = tmp_path / "paper.jsonl"
    presets = {"distmult": {"emu": {"dim": 100, "steps": 5}}}
    monkeypatch.setattr("emugraph.training.presets.read_presets", lambda dataset: presets)
    asked = [("any", "distmult", "emu"), ("any", "distmult", "plain")]
    append_result(path, result_of(preset_cell(*asked[0])))
    assert [entry.state for entry in status([preset_cell(*a) for a in asked], path)] == ["done", "no preset"]
    presets["distmult"]["emu"]["learning_rate"] = 0.5  # type: ignore[assignment]
    assert [entry.state for entry in status([preset_cell(*a) for a in asked], path)] == ["open", "no preset"]
    del presets["distmult"]["emu"]["learning_rate"]
    assert status([preset_cell(*asked[0])], path)[0].result == read_results(path)[0]  # the old line is still there
    assert status([replace(preset_cell(*asked[0]), dataset="other")], path)[0].state == "open"


def test_a_run_of_two_experiments_runs_once(run: Callable[..., list[Outcome]], small_cell: MakeCell) -> None:
    seen = Seeds()
    assert len(run([small_cell(), small_cell(beta=0.5), small_cell(beta=0.1)], callbacks=[seen])) == 2
    assert len(seen.seen) == 2


def test_a_cell_that_fails_stays_open_and_the_next_is_run(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path
) -> None:
    hopeless = small_cell(init_scale=1e6, regularization=1.0, regularization_power=10.0)
    fine = small_cell(beta=0.1)
    failed, done = run([hopeless, fine])
    assert isinstance(failed.error, EmugraphError)
    assert "1/2 grid DistMult emu d 4 seed 0" in str(failed)
    assert "not finite at step 1; most likely init_scale is too high" in str(failed)
    assert done.result is not None
    assert [entry.state for entry in status([hopeless, fine], tmp_path / "paper.jsonl")] == ["open", "done"]


def test_no_cell_is_started_after_the_time_is_up(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class Takes50Seconds(Callback):
        def on_end(self, run: emugraph.Run) -> None:
            nonlocal now
            now += 50

    monkeypatch.setattr("emugraph.reproduction.run_cells.time.monotonic", lambda: now)
    cells = [small_cell(seed=seed) for seed in range(3)]
    # The second starts after 50 of 60 seconds and is finished; the third would start after 100.
    assert [outcome.cell.seed for outcome in run(cells, minutes=1, callbacks=[Takes50Seconds()])] == [0, 1]
    assert run(cells, minutes=0) == []


def test_mistakes_stop_before_anything_is_trained(
    run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path, grid: KnowledgeGraph
) -> None:
    with pytest.raises(InputError, match="unknown device 'tpu9'"):
        run([small_cell()], device="tpu9")
    (tmp_path / "paper.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is damaged"):
        run([small_cell()])
    (tmp_path / "paper.jsonl").unlink()
    bare = KnowledgeGraph(grid.entities, grid.relations, grid.train, name="bare")
    (outcome,) = run_cells([small_cell()], tmp_path / "paper.jsonl", load=lambda name: bare)
    assert "bare has no test triples" in str(outcome)
    assert not (tmp_path / "paper.jsonl").exists()


def test_settings_are_written_whole(run: Callable[..., list[Outcome]], small_cell: MakeCell, tmp_path: Path) -> None:
    run([small_cell(negatives="all")])
    line = json.loads((tmp_path / "paper.jsonl").read_text(encoding="utf-8"))
    assert set(line["settings"]) == set(emugraph.Settings.model_fields)
    assert line["settings"]["negatives"] == "all"
