"""Trackers: what each has written is read back with its own means, and held against the log and the metrics."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import emugraph
from emugraph import Callback, EmugraphError, InputError, Interrupted, KnowledgeGraph
from emugraph.runs import trackers
from emugraph.runs.trackers import TRACKERS, build_trackers

OPTIONS: dict[str, Any] = {"dim": 4, "steps": 20, "valid_every": 10, "batch_size": 32, "negatives": 16}
SELDOM = emugraph.Checkpoints(minutes=0)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reports to where the user does."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT", "WANDB_DIR", "WANDB_RUN_GROUP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")


class CutAt(Callback):
    """Ends training with an error, after a step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step, self.error = step, error

    def on_step(self, trainer: Any, loss: Any) -> None:
        if trainer.step_count == self.step:
            raise self.error


class Memory(trackers.Tracker):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {}
        self.actual: dict[tuple[int, str], float] = {}
        self.outcomes: list[str] = []

    def begin(self, name: str, settings: Mapping[str, Any], path: Path, step: int) -> None:
        self.settings = {"name": name, "step": step, **settings}

    def record(self, metrics: Mapping[str, float], step: int) -> None:
        self.actual |= {(step, name): value for name, value in metrics.items()}

    def close(self, outcome: trackers.Outcome) -> None:
        self.outcomes.append(outcome)


def train(kg: KnowledgeGraph, output: str, *callbacks: Callback, **changes: Any) -> emugraph.Run:
    options = {"checkpoints": SELDOM, **OPTIONS, **changes}
    return emugraph.train(kg, "distmult", output=output, callbacks=callbacks, **options)


def expected(run: emugraph.Run) -> dict[tuple[int, str], float]:
    """What a tracker is to have, from what training writes by itself."""
    actual = {}
    for line in (run.path / "log.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["type"] == "training":
            actual |= {(record["step"], f"train/{name}"): record[name] for name in ("loss", "learning_rate")}
        else:
            actual |= {(record["step"], f"valid/{name}"): value for name, value in named(record).items()}
    for split in ("valid", "test"):
        actual |= {(20, f"final/{split}/{name}"): value for name, value in named(run.metrics[split]).items()}
    return actual


def named(metrics: dict[str, Any]) -> dict[str, float]:
    names = {
        "mrr": "mrr",
        "mean_rank": "mean_rank",
        "hits@1": "hits_at_1",
        "hits@3": "hits_at_3",
        "hits@10": "hits_at_10",
    }
    both = {new: metrics[old] for old, new in names.items()}
    sides = {f"{side}/{new}": metrics[side][old] for side in ("tail", "head") for old, new in names.items()}
    return both | sides


def table(path: Path) -> dict[tuple[int, str], float]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(file)]
    actual = {(step, name): value for step, name, value in rows}
    assert len(actual) == len(rows)
    return actual


# -------------------------------------------------------------------- what all trackers share


def test_a_tracker_is_given_what_the_log_and_the_metrics_have(grid: KnowledgeGraph) -> None:
    tracker = Memory()
    run = train(grid, "run", tracker)
    assert tracker.settings == {"name": "run", "step": 0, "dataset": "grid", **run.settings.model_dump(mode="json")}
    assert tracker.actual == pytest.approx(expected(run), rel=1e-6)
    assert len(tracker.actual) == 2 * (2 + 15) + 2 * 15


def test_losses_without_validation_triples(grid: KnowledgeGraph) -> None:
    kg = KnowledgeGraph.from_triples(grid.to_triples("train"), name="bare")
    tracker = Memory()
    train(kg, "run", tracker)
    assert sorted(tracker.actual) == [(s, f"train/{name}") for s in (10, 20) for name in ("learning_rate", "loss")]


def test_the_learning_rate_is_that_of_the_step(grid: KnowledgeGraph) -> None:
    """Steps 1 to 20 fall linearly from 0.1: step 10 has 0.1 * 11 / 20, step 20 has 0.1 / 20."""
    tracker = Memory()
    train(grid, "run", tracker, learning_rate=0.1, schedule="linear")
    rates = {step: value for (step, name), value in tracker.actual.items() if name == "train/learning_rate"}
    assert rates == pytest.approx({10: 0.1 * 11 / 20, 20: 0.1 / 20})
    assert expected(emugraph.load("run"))[10, "train/learning_rate"] == pytest.approx(0.1 * 11 / 20)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("cut"), "failed"),
        (EmugraphError("cut"), "failed"),
        (Interrupted(2, Path("run"), 15, "cut"), "interrupted"),
        (KeyboardInterrupt("cut"), "interrupted"),
    ],
)
def test_a_tracker_is_closed_once_however_a_run_ends(grid: KnowledgeGraph, error: BaseException, outcome: str) -> None:
    tracker = Memory()
    with pytest.raises(type(error), match="cut"):
        train(grid, "cut", tracker, CutAt(15, error))
    assert tracker.outcomes == [outcome]
    train(grid, "whole", tracker)  # the same one can look in on another run
    assert tracker.outcomes == [outcome, "finished"]


def test_a_tracker_that_cannot_begin_stops_the_run_before_its_first_step(grid: KnowledgeGraph) -> None:
    class Refuses(Memory):
        def begin(self, *given: Any) -> None:
            raise OSError("no such server.")

    tracker, other = Refuses(), Memory()
    with pytest.raises(EmugraphError, match=r"Refuses does not take the run: no such server\. .*emugraph resume run"):
        train(grid, "run", other, tracker, CutAt(1, AssertionError()))
    assert (tracker.outcomes, other.outcomes) == ([], ["failed"])
    assert emugraph.resume("run").metrics["steps"] == 20


def test_one_that_fails_later_is_given_up_and_training_goes_on(
    grid: KnowledgeGraph, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaks(Memory):
        asked = 0

        def record(self, metrics: Mapping[str, float], step: int) -> None:
            self.asked += 1
            if step == 20:
                raise ConnectionError("the server is gone")
            super().record(metrics, step)

        def close(self, outcome: trackers.Outcome) -> None:
            super().close(outcome)
            raise ConnectionError("still gone")

    tracker = Breaks()
    with caplog.at_level(logging.WARNING, "emugraph"):
        run = train(grid, "run", tracker)
    assert run.metrics["steps"] == 20
    assert tracker.outcomes == ["finished"]
    assert tracker.asked == 3  # twice at step 10, once at 20, and not again
    (record,) = caplog.records
    assert record.getMessage() == "Breaks failed, and gets no more of this run: the server is gone"


def test_the_loss_is_not_read_between_validations() -> None:
    class Loss:
        reads = 0

        def __add__(self, other: object) -> Loss:
            return self

        def item(self) -> float:
            Loss.reads += 1
            return 8.0

    tracker, settings = Memory(), SimpleNamespace(valid_every=4, steps=100)
    for step in range(1, 9):
        trainer = SimpleNamespace(step_count=step, settings=settings, learning_rate_of=lambda step: 0.5)
        tracker.on_step(trainer, Loss())  # type: ignore[arg-type]
        assert Loss.reads == step // 4
    assert tracker.actual[8, "train/loss"] == 2.0


def test_names_and_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [type(tracker) for tracker in build_trackers(["csv", "csv"])] == [TRACKERS["csv"]]
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'.*Did you mean 'tensorboard'"):
        build_trackers(["tensorbord"])
    for name, module in (("tensorboard", "torch.utils.tensorboard"), ("mlflow", "mlflow"), ("wandb", "wandb")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match=rf"{name} is not installed; pip install 'emugraph\[trackers\]'"):
            build_trackers([name])


# -------------------------------------------------------------------- CSV


def test_csv(grid: KnowledgeGraph) -> None:
    run = train(grid, "run", *build_trackers(["csv"]))
    assert table(Path("run/metrics.csv")) == pytest.approx(expected(run), rel=1e-6)
    assert emugraph.load("run").evaluate("test") == run.metrics["test"]  # the folder is as sound as before


def test_a_resumed_run_goes_on_with_its_table(grid: KnowledgeGraph) -> None:
    whole = train(grid, "whole", *build_trackers(["csv"]), valid_every=5)
    with pytest.raises(RuntimeError, match="cut"):
        train(
            grid, "run", *build_trackers(["csv"]), CutAt(17, RuntimeError("cut")),
            checkpoints=emugraph.Checkpoints(0, 12), valid_every=5,
        )  # fmt: skip
    path = Path("run/metrics.csv")
    assert max(step for step, _ in table(path)) == 15
    with path.open("a", encoding="utf-8") as file:
        file.write("10,valid/tail/mr")  # as a kill leaves it
    emugraph.resume("run", callbacks=build_trackers(["csv"]))
    actual, full = table(path), table(whole.path / "metrics.csv")
    # The first loss is that of the steps since the checkpoint, 12.
    assert actual.pop((15, "train/loss")) != full.pop((15, "train/loss"))
    assert actual == full


def test_a_longer_run_has_one_set_of_final_metrics(grid: KnowledgeGraph) -> None:
    train(grid, "run", *build_trackers(["csv"]))
    run = emugraph.resume("run", steps=30, callbacks=build_trackers(["csv"]))
    finals = {at: value for at, value in table(Path("run/metrics.csv")).items() if at[1].startswith("final/")}
    assert {step for step, _ in finals} == {30}
    assert finals[30, "final/test/mrr"] == run.metrics["test"]["mrr"]


# -------------------------------------------------------------------- TensorBoard


def events(path: Path) -> Any:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accumulator = reading.EventAccumulator(str(path / "tensorboard"))
    accumulator.Reload()
    return accumulator


def scalars(accumulator: Any) -> dict[tuple[int, str], float]:
    names = accumulator.Tags()["scalars"]
    rows = [(event.step, name, event.value) for name in names for event in accumulator.Scalars(name)]
    actual = {(step, name): value for step, name, value in rows}
    assert len(actual) == len(rows)
    return actual


def test_tensorboard(grid: KnowledgeGraph) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.plugins.hparams import plugin_data_pb2

    run = train(grid, "run", *build_trackers(["tensorboard"]))
    accumulator = events(run.path)
    assert scalars(accumulator) == pytest.approx(expected(run), rel=1e-6)
    content = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    started = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert started["dataset"].string_value == "grid"
    assert started["dim"].number_value == 4
    assert {"dataset", *type(run.settings).model_fields} == set(started)
    assert emugraph.load("run").evaluate("test") == run.metrics["test"]


def test_a_resumed_run_goes_on_with_its_events(grid: KnowledgeGraph) -> None:
    pytest.importorskip("tensorboard")
    with pytest.raises(RuntimeError, match="cut"):
        train(
            grid, "run", *build_trackers(["tensorboard"]), CutAt(17, RuntimeError("cut")),
            checkpoints=emugraph.Checkpoints(0, 12), valid_every=5,
        )  # fmt: skip
    assert [event.step for event in events(Path("run")).Scalars("valid/mrr")] == [5, 10, 15]
    run = emugraph.resume("run", callbacks=build_trackers(["tensorboard"]))
    actual, full = scalars(events(run.path)), expected(run)
    del actual[15, "train/loss"], full[15, "train/loss"]
    assert actual == pytest.approx(full, rel=1e-6)


# -------------------------------------------------------------------- MLflow


@pytest.mark.filterwarnings("ignore")  # of MLflow's own, and of SQLAlchemy's at what MLflow does
def test_mlflow(grid: KnowledgeGraph) -> None:
    mlflow = pytest.importorskip("mlflow")
    run = train(grid, "run", *build_trackers(["mlflow"]))
    with pytest.raises(RuntimeError, match="cut"):
        train(
            grid, "cut", *build_trackers(["mlflow"]), CutAt(15, RuntimeError("cut")),
            checkpoints=emugraph.Checkpoints(0, 12),
        )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        emugraph.resume("cut", callbacks=[*build_trackers(["mlflow"]), CutAt(15, KeyboardInterrupt())])

    client = mlflow.MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    actual = client.search_runs([client.get_experiment_by_name("grid").experiment_id], order_by=["start_time"])
    assert [(of.info.run_name, of.info.status) for of in actual] == [
        ("run", "FINISHED"), ("cut", "FAILED"), ("cut", "KILLED"),
    ]  # fmt: skip
    whole, _, resumed = actual
    settings = {"dataset": "grid", **run.settings.model_dump(mode="json")}
    assert whole.data.params == {name: str(value) for name, value in settings.items()}
    assert whole.data.tags["folder"] == str(Path("run").resolve())
    assert "resumed_after" not in whole.data.tags
    assert resumed.data.tags["resumed_after"] == "12"
    points = [point for name in whole.data.metrics for point in client.get_metric_history(whole.info.run_id, name)]
    assert {(point.step, point.key): point.value for point in points} == pytest.approx(expected(run), rel=1e-6)
    assert len(points) == len(expected(run))


def test_mlflow_goes_where_the_user_says(grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen from what the client is opened with; its store is tested above."""
    pytest.importorskip("mlflow")
    opened: list[object] = []

    def client(store: object) -> None:
        opened.append(store)
        raise OSError("no store here")

    monkeypatch.setattr("mlflow.MlflowClient", client)
    for given in ("http://localhost:1", ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
        with pytest.raises(EmugraphError, match="MlFlow does not take the run: no store here"):
            train(grid, f"run{len(opened)}", *build_trackers(["mlflow"]))
    assert opened == [None, f"sqlite:///{tmp_path}/mlflow.db"]


# -------------------------------------------------------------------- Weights & Biases


def test_wandb_writes_the_run_without_a_network(grid: KnowledgeGraph) -> None:
    pytest.importorskip("wandb")
    run = train(grid, "run", *build_trackers(["wandb"]))
    with pytest.raises(RuntimeError, match="cut"):
        train(grid, "cut", *build_trackers(["wandb"]), CutAt(15, RuntimeError("cut")))
    whole, cut = (wandb_records(Path(name)) for name in ("run", "cut"))
    (started,) = whole["run"]
    assert (started.project, started.display_name, started.run_group) == ("emugraph", "run", "run")
    config = {item.key: json.loads(item.value_json) for item in started.config.update}
    settings = {"dataset": "grid", **run.settings.model_dump(mode="json")}
    assert {name: config[name] for name in settings} == settings
    actual = {}
    for history in whole["history"]:
        items = {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in history.item}
        actual |= {(items["_step"], name): value for name, value in items.items() if "/" in name}
    assert actual == pytest.approx(expected(run), rel=1e-6)
    assert [[ended.exit_code for ended in records["exit"]] for records in (whole, cut)] == [[0], [1]]
    assert emugraph.load("run").evaluate("test") == run.metrics["test"]


def wandb_records(path: Path) -> dict[str, list[Any]]:
    """By kind, the records of the one run that was written offline: a LevelDB log of protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    (file,) = path.glob("wandb/offline-run-*/run-*.wandb")
    content, at, whole = file.read_bytes(), 7, b""  # after the file's own header
    actual: dict[str, list[Any]] = {}
    while at < len(content):
        left = 32768 - at % 32768  # a block's last bytes are empty where no header fits
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record.FromString(whole)
            name = record.WhichOneof("record_type")
            actual.setdefault(name, []).append(getattr(record, name))
            whole = b""
    return actual
