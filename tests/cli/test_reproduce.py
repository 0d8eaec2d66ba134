"""``emugraph reproduce`` as a user meets it, on a small data set of one's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emugraph import Settings
from emugraph.cli import output
from emugraph.cli.main import main
from emugraph.reproduction import experiments
from emugraph.reproduction.cells import Cell
from emugraph.reproduction.experiments import Experiment, Row, Table
from emugraph.training.trainer import Trainer

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def emugraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``emugraph reproduce`` in this process, in a folder of its own; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["emugraph", "reproduce", *arguments])
        monkeypatch.setattr(output, "debug", False)
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """The only experiment: two seeds of EMU and one of plain on a chain of entities, and a model without a preset."""
    folder = tmp_path / "chain"
    folder.mkdir()
    rows = [f"e{i}\tnext\te{i + 1}\n" for i in range(20)]
    for split, part in (("train", rows), ("valid", rows[5:9]), ("test", rows[10:14])):
        (folder / f"{split}.txt").write_text("".join(part), encoding="utf-8")

    def cell(method: str, seed: int, **values: Any) -> Cell:
        short = Settings(model="distmult", dim=4, steps=4, valid_every=2, negatives=8, seed=seed, **values)
        return Cell(str(folder), "distmult", method, 4, seed, short)

    missing = Cell(str(folder), "rotate", "emu", 4, 0, None)
    entries = (cell("emu", 0), cell("emu", 1)), (cell("plain", 0, mixing="none", beta=0.0),)
    table = Table("chain", "model", ("EMU", "plain"), (Row("DistMult", entries), Row("RotatE", ((missing,), ()))))
    tiny = Experiment("tiny", "Tiny", "A chain.", (table,))
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"tiny": lambda: tiny})
    monkeypatch.setattr(experiments, "DEFAULT", ("tiny",))
    return tiny


@pytest.mark.usefixtures("small")
def test_runs_what_is_open_and_writes_the_report(tmp_path: Path, emugraph: Command) -> None:
    code, out, err = emugraph("--json")
    assert code == 0, err
    answer = json.loads(out)  # one JSON object and nothing else
    assert answer == {
        "results": ["benchmarks/results/paper.jsonl", "benchmarks/results/samplers.jsonl"], "report": "RESULTS.md",
        "done": 3, "open": 0, "no_preset": 1, "failed": [],
    }  # fmt: skip
    lines = [line for line in err.splitlines() if ": MRR 0." in line and "/3 " in line]
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "DistMult emu d 4 seed 0: MRR" in lines[0]  # the most wanted first: plain before the second seed
    assert "DistMult plain d 4 seed 0: MRR" in lines[1]
    assert "step 4/4: valid MRR" in err
    assert "run folder" not in err
    assert "0 of 3 cells are done; there is no preset for 1 more" in err
    report = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| DistMult | 0." in report
    assert "| RotatE | – | – |" in report
    code, _, err = emugraph()
    assert code == 0
    assert "3 of 3 cells are done" in err
    assert "/3 " not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.md", "benchmarks", "chain"]


def test_each_experiment_has_its_file(
    tmp_path: Path, emugraph: Command, small: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one experiment has measured is not run again for another."""
    entry = small.tables[0].rows[0].entries[0][0]
    assert entry.settings is not None
    own = replace(entry, sampler="in-batch", settings=entry.settings.model_copy(update={"sampler": "in-batch"}))
    table = Table("chain", "model", ("uniform", "in-batch"), (Row("DistMult", ((entry,), (own,))),))
    both = Experiment("samplers", "Both", "Two.", (table,), file="samplers.jsonl")
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"tiny": lambda: small, "samplers": lambda: both})
    folder = tmp_path / "benchmarks" / "results"
    assert emugraph("tiny", "--seed", "0", "--method", "emu")[0] == 0
    code, _, err = emugraph("samplers")
    assert code == 0
    assert "1 of 2 cells are done" in err
    counts = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in folder.iterdir()}
    assert counts == {"paper.jsonl": 1, "samplers.jsonl": 1}
    assert "1 of 1 cells are done" in emugraph("samplers", "--sampler", "in-batch", "--list")[2]


@pytest.mark.usefixtures("small")
def test_list_and_filters(tmp_path: Path, emugraph: Command) -> None:
    code, out, _ = emugraph("--method", "EMU", "--seed", "0", "--results", "my.jsonl", "--report", "my.md")
    assert code == 0
    assert (tmp_path / "my.md").is_file()
    code, out, err = emugraph("--list", "--json", "--results", "my.jsonl")
    assert code == 0, err
    listed = json.loads(out)
    assert [(entry["model"], entry["method"], entry["seed"], entry["state"]) for entry in listed["cells"]] == [
        ("distmult", "emu", 0, "done"),
        ("rotate", "emu", 0, "no preset"),
        ("distmult", "plain", 0, "open"),
        ("distmult", "emu", 1, "open"),
    ]
    assert listed["cells"][0]["result"]["mrr"] > 0
    assert (listed["done"], listed["open"], listed["no_preset"]) == (1, 2, 1)
    code, out, err = emugraph("--list", "--results", "my.jsonl", "--model", "rotate")
    assert "no preset" in out
    assert "DistMult" not in out
    assert not (tmp_path / "RESULTS.md").exists()


@pytest.mark.usefixtures("small")
def test_report_only_runs_nothing(tmp_path: Path, emugraph: Command) -> None:
    code, out, _ = emugraph("--report-only")
    assert (code, out) == (0, "")
    assert "Not measured yet." in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert not (tmp_path / "benchmarks").exists()


@pytest.mark.usefixtures("small")
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, emugraph: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step

    def interrupted_in_plain(trainer: Trainer) -> Any:
        if trainer.settings.mixing == "none":
            raise KeyboardInterrupt
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", interrupted_in_plain)
    code, out, err = emugraph("--json")
    assert (code, out) == (130, "")
    assert "interrupted; 1 of 3 cells are done and stay; the same command goes on" in err
    assert len((tmp_path / "benchmarks/results/paper.jsonl").read_text(encoding="utf-8").splitlines()) == 1
    assert "| DistMult | 0." in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    monkeypatch.setattr(Trainer, "step", step)
    code, _, err = emugraph()
    assert code == 0
    assert "1/3" not in err
    assert "3/3" in err


@pytest.mark.usefixtures("small")
def test_minutes_and_keep(tmp_path: Path, emugraph: Command) -> None:
    code, _, err = emugraph("--minutes", "0")
    assert code == 0
    assert "0 of 3 cells are done; the same command goes on" in err
    assert emugraph("--keep", "runs", "--seed", "1")[0] == 0
    (kept,) = (tmp_path / "runs").iterdir()
    assert (kept / "weights.safetensors").is_file()


@pytest.mark.usefixtures("small")
def test_a_cell_that_fails_is_told_and_the_exit_code_is_1(emugraph: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from emugraph.errors import EmugraphError

    def fail(trainer: Trainer) -> Any:
        raise EmugraphError("the loss is not a number any more")

    monkeypatch.setattr(Trainer, "step", fail)
    code, out, err = emugraph("--json", "--method", "plain")
    assert code == 1
    assert "failed: the loss is not a number any more" in err
    assert "1 cells failed" not in err
    assert "1 cell failed and stays open" in err
    assert "DistMult plain d 4 seed 0" in json.loads(out)["failed"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel2"], "unknown experiment 'tabel2'; known: table2, table3"),
        (["tabel2"], "Did you mean 'table2'"),
        (["--model", "distmul"], "no cell has the model 'distmul'; there are: transe, distmult, complex, rotate. Did"),
        (["table3", "--method", "plain"], "no cell has the method 'plain'; there are: emu, mixup"),
        (["--dataset", "wn18"], "Did you mean 'wn18rr'"),
        (["--dim", "300"], "no cell has the dim 300; there are: 100."),
        (["--seed", "9"], "no cell has the seed 9"),
        (["--method", "mixup", "--seed", "1"], "no cell has all of: method mixup; seed 1"),
        (["--list", "--report-only"], "give either --list or --report-only"),
        (["--minutes", "-1"], "--minutes"),
        (["--device", "tpu9"], "unknown device 'tpu9'"),
        (["--reslts", "x"], "No such option"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, emugraph: Command
) -> None:
    code, out, err = emugraph(*arguments)
    assert (code, out) == (2, ""), err
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_of_results_is_named(tmp_path: Path, emugraph: Command) -> None:
    (tmp_path / "my.jsonl").write_text("no\nyes\n", encoding="utf-8")
    for option in ("--list", "--report-only"):
        code, _, err = emugraph(option, "--results", "my.jsonl")
        assert code == 2
        assert "my.jsonl, line 1 is damaged" in err
