"""What run folders of formats 1 and 2 called by other names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import emugraph
from emugraph.prediction.calibration import Calibration
from emugraph.runs import old_formats
from emugraph.runs.contents import read_calibrations
from emugraph.runs.folder import RunFolder


def test_a_checkpoints_settings_take_their_current_names() -> None:
    state = {"settings": {"dim": 8, "mask_run": 16, "sides": "in-turn"}, "best_mrr": 0.5}
    expected = {"settings": {"dim": 8, "mask_group": 16, "sides": "alternating"}, "best_mrr": 0.5}
    assert old_formats.checkpoint_state(state) == expected


def test_a_checkpoint_without_settings_is_left_for_its_reader_to_refuse() -> None:
    assert old_formats.checkpoint_state({"best_mrr": 0.5}) == {"best_mrr": 0.5}
    assert old_formats.checkpoint_state({"settings": 3}) == {"settings": 3}


def test_a_calibration_counts_queries_that_were_questions(run_folder: Path) -> None:
    old = {"shares": [-2.0, -1.0], "values": [0.1, 0.2], "questions": 7}
    folder = RunFolder.open(run_folder)
    folder.write_text("calibration.json", json.dumps({"entities": old, "relations": {**old, "questions": 8}}))
    new = {"shares": [-2.0, -1.0], "values": [0.1, 0.2]}
    assert read_calibrations(folder) == (Calibration(**new, queries=7), Calibration(**new, queries=8))


def test_metrics_under_their_old_name_are_read(run_folder: Path) -> None:
    folder = RunFolder.open(run_folder)
    metrics = folder.read_json("metrics.json")
    folder.remove("metrics.json")
    folder.write_json("figures.json", metrics)
    run = emugraph.load(run_folder)
    assert run.metrics == metrics
    with pytest.warns(DeprecationWarning, match=r"Run\.figures is now Run\.metrics"):
        assert run.figures == metrics
