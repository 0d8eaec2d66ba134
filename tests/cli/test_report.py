"""``emugraph report`` as a user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., Any]


def test_a_report_on_two_runs(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    done = emugraph("report", run_folder, run_folder, "-o", tmp_path / "r.html")
    assert (done.returncode, done.stdout) == (0, "")
    assert "report: " in done.stderr
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "run (1)" in text
    assert "run (2)" in text


def test_mistakes(emugraph: Command, run_folder: Path) -> None:
    for arguments in (("nowhere",), (run_folder, "--split", "tests")):
        done = emugraph("report", *arguments)
        assert done.returncode == 2
    assert not Path("report.html").exists()
