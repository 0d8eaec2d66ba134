from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import emugraph
from emugraph import Callback, InputError, KnowledgeGraph, trackers
from emugraph.trackers import TRACKERS, build_trackers

OPTIONS: dict[str, Any] = {"dim": 4, "steps": 20, "valid_every": 10, "batch_size": 32, "negatives": 16}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


def rows(path: Path) -> list[tuple[int, str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(file)]


class Cut(Callback):
    def on_step(self, trainer: Any, loss: Any) -> None:
        if trainer.step_count == 15:
            raise RuntimeError("cut")


def test_csv_has_what_the_log_has(grid: KnowledgeGraph) -> None:
    run = emugraph.train(grid, "distmult", output="run", callbacks=build_trackers(["csv"]), **OPTIONS)
    found = {(step, name): value for step, name, value in rows(Path("run/metrics.csv"))}
    log = [line for line in Path("run/log.jsonl").read_text(encoding="utf-8").splitlines() if line]
    assert len(log) == 4
    for line in map(json.loads, log):
        if line["type"] == "validation":
            assert found[line["step"], "valid/mrr"] == line["mrr"]
            assert found[line["step"], "valid/tail/hits_at_10"] == line["tail"]["hits@10"]
        else:
            assert found[line["step"], "train/loss"] == pytest.approx(line["loss"], rel=1e-5)
            assert found[line["step"], "train/learning_rate"] == pytest.approx(line["learning_rate"])
    assert found[20, "final/test/mrr"] == run.figures["test"]["mrr"]


def test_a_resumed_run_goes_on_with_its_table(grid: KnowledgeGraph) -> None:
    whole = emugraph.train(grid, "distmult", output="whole", callbacks=build_trackers(["csv"]), **OPTIONS)
    checkpoints = emugraph.Checkpoints(steps=12)
    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(
            grid, "distmult", output="run", callbacks=[*build_trackers(["csv"]), Cut()], checkpoints=checkpoints,
            **OPTIONS,
        )  # fmt: skip
    emugraph.resume("run", callbacks=build_trackers(["csv"]))
    expected, found = (rows(path / "metrics.csv") for path in (whole.path, Path("run")))
    # The loss since the last validation is only that of the steps since the checkpoint.
    same = [[row for row in table if row[:2] != (20, "train/loss")] for table in (expected, found)]
    assert same[0] == same[1]


def test_tensorboard_reads_the_events(grid: KnowledgeGraph) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = emugraph.train(grid, "distmult", output="run", callbacks=build_trackers(["tensorboard"]), **OPTIONS)
    events = reading.EventAccumulator("run/tensorboard")
    events.Reload()
    assert [event.step for event in events.Scalars("valid/mrr")] == [10, 20]
    assert events.Scalars("final/test/mrr")[0].value == pytest.approx(run.figures["test"]["mrr"])
    (text,) = events.Tensors("settings/text_summary")
    assert b"| dim | 4 |" in text.tensor_proto.string_val[0]
    assert emugraph.load("run").evaluate("test") == run.figures["test"]  # the folder is as sound as before


@pytest.mark.filterwarnings("ignore")  # of MLflow's own, and of what it uses
def test_mlflow_has_the_run(grid: KnowledgeGraph) -> None:
    mlflow = pytest.importorskip("mlflow")
    run = emugraph.train(grid, "distmult", output="run", callbacks=build_trackers(["mlflow"]), **OPTIONS)
    client = mlflow.MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("grid")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["dim"] == "4"
    assert found.data.metrics["final/test/mrr"] == run.figures["test"]["mrr"]
    assert [point.step for point in client.get_metric_history(found.info.run_id, "valid/mrr")] == [10, 20]
    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(grid, "distmult", output="cut", callbacks=[*build_trackers(["mlflow"]), Cut()], **OPTIONS)
    states = {found.info.run_name: found.info.status for found in client.search_runs([experiment.experiment_id])}
    assert states == {"run": "FINISHED", "cut": "KILLED"}


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_the_run_without_a_network(grid: KnowledgeGraph) -> None:
    pytest.importorskip("wandb")
    run = emugraph.train(grid, "distmult", output="run", callbacks=build_trackers(["wandb"]), **OPTIONS)
    (file,) = Path("run/wandb").glob("offline-run-*/run-*.wandb")
    content = file.read_bytes()
    for text in (b"final/test/mrr", b"valid/tail/hits_at_10", b"mutation_rate", b"grid"):
        assert text in content
    assert repr(run.figures["test"]["mrr"]).encode()[:8] in content


def test_a_tracker_is_closed_however_a_run_ends(grid: KnowledgeGraph) -> None:
    class Counting(trackers.Csv):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    good, bad = Counting(), Counting()
    emugraph.train(grid, "distmult", output="run", callbacks=[good], **OPTIONS)
    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(grid, "distmult", output="cut", callbacks=[bad, Cut()], **OPTIONS)
    assert (good.closed, bad.closed) == (1, 1)


def test_names_and_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [type(tracker) for tracker in build_trackers(["csv", "csv"])] == [TRACKERS["csv"]]
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'.*Did you mean 'tensorboard'"):
        build_trackers(["tensorbord"])
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"wandb is not installed; pip install 'emugraph\[trackers\]'"):
        build_trackers(["wandb"])
