from __future__ import annotations

import json
from pathlib import Path

import pytest

from emugraph import InputError
from emugraph.reproduction.checks import Check, read_checks
from emugraph.reproduction.report import write_report

KILLS = {
    "about": "Runs were killed.",
    "command": "python -m tools.kill_runs",
    "machine": "a machine",
    "rows": {"all models": {"kills": 200, "identical": 90}},
}


def test_checks_stand_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "checks.jsonl").write_text(json.dumps(KILLS) + "\n", encoding="utf-8")
    assert read_checks(tmp_path / "checks.jsonl") == [Check(**KILLS)]
    write_report(tmp_path / "RESULTS.md", [], [tmp_path / "paper.jsonl"])
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "Command: `python -m tools.kill_runs`, on a machine" in text
    assert "| all models | 200 | 90 |" in text


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert read_checks(tmp_path / "checks.jsonl") == []


@pytest.mark.parametrize("line", ["{", "[]", "{}", json.dumps({**KILLS, "rows": {}}), json.dumps({**KILLS, "x": 1})])
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "checks.jsonl"
    file.write_text(f"{json.dumps(KILLS)}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"checks\.jsonl, line 2: it is no measurement"):
        read_checks(file)
