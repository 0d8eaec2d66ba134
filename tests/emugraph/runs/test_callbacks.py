"""When callbacks are called, and what happens when one of them fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import emugraph
from emugraph import Callback, KnowledgeGraph
from emugraph.runs.callbacks import FinishedRun

SETTINGS: dict[str, Any] = {"dim": 4, "steps": 10, "valid_every": 5, "batch_size": 32, "negatives": 8}


class Calls(Callback):
    """Takes down what it is called with."""

    def __init__(self, calls: list[str], name: str = "") -> None:
        self.calls, self.name = calls, name

    def on_start(self, *_: object) -> None:
        self.calls.append(f"{self.name}start")

    def on_validation(self, *_: object) -> None:
        self.calls.append(f"{self.name}validation")

    def on_checkpoint(self, *_: object) -> None:
        self.calls.append(f"{self.name}checkpoint")

    def on_end(self, run: FinishedRun) -> None:
        self.calls.append(f"{self.name}end")

    def on_exit(self) -> None:
        self.calls.append(f"{self.name}exit")


class FailsAt(Callback):
    """Raises an error in one of the methods."""

    def __init__(self, method: str, error: Exception) -> None:
        def fail(*_: object) -> None:
            raise error

        setattr(self, method, fail)


def test_the_order(grid: KnowledgeGraph, tmp_path: Path) -> None:
    calls: list[str] = []
    emugraph.train(grid, output=tmp_path / "run", callbacks=[Calls(calls)], **SETTINGS)
    assert calls == ["start", "validation", "validation", "checkpoint", "end", "exit"]


def test_a_run_that_starts_from_embeddings_writes_its_first_checkpoint_after_the_start(
    grid: KnowledgeGraph, tmp_path: Path
) -> None:
    emugraph.train(grid, output=tmp_path / "first", **SETTINGS)
    calls: list[str] = []
    emugraph.train(grid, output=tmp_path / "second", init_from=tmp_path / "first", callbacks=[Calls(calls)], **SETTINGS)
    assert calls == ["start", "checkpoint", "validation", "validation", "checkpoint", "end", "exit"]


def test_a_run_that_ended_before_it_kept_the_embeddings_it_starts_from_is_not_resumed(
    grid: KnowledgeGraph, tmp_path: Path
) -> None:
    emugraph.train(grid, output=tmp_path / "first", **SETTINGS)
    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(
            grid, output=tmp_path / "second", init_from=tmp_path / "first",
            callbacks=[FailsAt("on_start", RuntimeError("cut"))], **SETTINGS,
        )  # fmt: skip
    with pytest.raises(emugraph.InputError, match=r"second was ended before it kept the embeddings of .*first"):
        emugraph.resume(tmp_path / "second")


@pytest.mark.parametrize("method", ["on_start", "on_step", "on_validation", "on_checkpoint", "on_end"])
def test_whatever_fails_every_callback_exits(method: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    calls: list[str] = []
    callbacks = [Calls(calls, "a "), FailsAt(method, RuntimeError("cut")), Calls(calls, "b ")]
    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(grid, output=tmp_path / "run", callbacks=callbacks, **SETTINGS)
    assert [call for call in calls if "exit" in call] == ["a exit", "b exit"]


def test_a_failing_exit_hides_neither_the_error_nor_the_other_exits(
    grid: KnowledgeGraph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    callbacks = [
        FailsAt("on_step", ValueError("the error")), FailsAt("on_exit", OSError("cannot close")), Calls(calls),
    ]  # fmt: skip
    with caplog.at_level(logging.WARNING, "emugraph"), pytest.raises(ValueError, match="the error"):
        emugraph.train(grid, output=tmp_path / "run", callbacks=callbacks, **SETTINGS)
    assert calls[-1] == "exit"
    (record,) = caplog.records
    assert record.getMessage() == "FailsAt.on_exit failed: cannot close"


def test_a_failing_exit_of_a_run_without_error_is_raised(
    grid: KnowledgeGraph, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    first, second = FailsAt("on_exit", OSError("one")), FailsAt("on_exit", OSError("two"))
    with caplog.at_level(logging.WARNING, "emugraph"), pytest.raises(OSError, match="one"):
        emugraph.train(grid, output=tmp_path / "run", callbacks=[first, second, Calls(calls)], **SETTINGS)
    assert calls[-1] == "exit"
    assert [record.getMessage() for record in caplog.records] == ["FailsAt.on_exit failed: two"]
    assert emugraph.load(tmp_path / "run").metrics["steps"] == 10


def test_an_error_that_the_caller_has_handled_hides_no_failing_exit(grid: KnowledgeGraph, tmp_path: Path) -> None:
    try:
        raise KeyError("handled")
    except KeyError:
        with pytest.raises(OSError, match="cannot close"):
            emugraph.train(
                grid, output=tmp_path / "run", callbacks=[FailsAt("on_exit", OSError("cannot close"))], **SETTINGS
            )
