"""``emugraph similar``, ``emugraph export`` and ``emugraph train --init-from`` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import emugraph as library
from emugraph.embeddings.files import WRITERS
from emugraph.runs.contents import load_embeddings

Command = Callable[..., Any]


def test_similar(emugraph: Command, run_folder: Path) -> None:
    expected = library.load(run_folder).similar("0,0", 3, measure="model")
    done = emugraph("similar", run_folder, "0,0", "-k", "3", "--measure", "model", "--json")
    assert json.loads(done.stdout)["rows"] == [row._asdict() for row in expected]
    shown = emugraph("similar", run_folder, "0,0", "-k", "3").stdout
    assert "like 0,0, by cosine" in shown
    assert "unknown entity '99'" in emugraph("similar", run_folder, "99").stderr


@pytest.mark.parametrize("format", WRITERS)
def test_export(emugraph: Command, run_folder: Path, format: str) -> None:
    name = f"run{WRITERS[format]}"
    done = emugraph("export", run_folder, "--format", format)
    assert (done.returncode, f"60 entities, 8 numbers each, in {name}" in done.stderr) == (0, True)
    again = emugraph("export", run_folder, "--format", format)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)
    assert emugraph("export", run_folder, "--format", format, "--force").returncode == 0
    if format != "projector":
        assert torch.equal(load_embeddings(Path(name))["entities"].rows, library.load(run_folder).model.entities)


def test_export_mistakes_and_json(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    done = emugraph("export", run_folder, "-f", "tsv", "--part", "relations", "-o", tmp_path / "r.tsv", "--json")
    assert json.loads(done.stdout)["shapes"] == {"relations": [2, 8], "entities": [60, 8]}
    for options, message in (
        (("--format", "csv"), "unknown format 'csv'; known: npz"),
        (("--part", "nodes"), "unknown part 'nodes'"),
    ):
        done = emugraph("export", run_folder, *options)
        assert (done.returncode, message in done.stderr) == (2, True)


def test_training_from_an_export(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    library.load(run_folder).kg.to_files(tmp_path / "data")
    emugraph("export", run_folder, "-f", "npz", "-o", tmp_path / "e.npz")
    small = ("--steps", "2", "--valid-every", "2", "--negatives", "4", "-m", "distmult")
    done = emugraph("train", tmp_path / "data", *small, "--dim", "8", "--init-from", tmp_path / "e.npz", "-o", "fine")
    assert done.returncode == 0, done.stderr
    assert "start from the given embeddings: 60 of 60 entities, 2 relations" in done.stderr
    assert f'init_from = "{tmp_path / "e.npz"}"' in Path("fine/config.toml").read_text(encoding="utf-8")
    wrong = emugraph("train", tmp_path / "data", *small, "--dim", "9", "--init-from", tmp_path / "e.npz")
    assert (wrong.returncode, "8 numbers wide" in wrong.stderr) == (2, True)
    assert not Path("runs").exists()


def test_export_refuses_a_name_of_another_format(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    done = emugraph("export", run_folder, "--format", "tsv", "-o", tmp_path / "e.npz")
    assert (done.returncode, "named as another format" in done.stderr) == (2, True)
    done = emugraph("export", run_folder, "--format", "tsv", "-o", tmp_path)
    assert (done.returncode, "is a folder" in done.stderr) == (2, True)
    assert not list(tmp_path.glob("e.*"))


def test_no_command_replaces_a_file_unasked(emugraph: Command, run_folder: Path, tmp_path: Path) -> None:
    commands = [
        ("report", run_folder, "-o", "there.html"),
        ("predict", run_folder, "--head", "0,0", "--relation", "right", "-o", "there.tsv"),
        ("analyze", "similarity", run_folder, "-o", "there.png"),
        ("tune", "nowhere", "-o", "there.toml"),
    ]
    for command in commands:
        there = tmp_path / str(command[-1])
        there.write_text("mine")
        done = emugraph(*command[:-1], there)
        assert (done.returncode, "already exists" in done.stderr, "--force" in done.stderr) == (2, True, True), command
        assert there.read_text() == "mine"
    done = emugraph(*commands[1][:-1], tmp_path / "there.tsv", "--force")
    assert done.returncode == 0
    assert (tmp_path / "there.tsv").read_text() != "mine"
    done = emugraph("report", run_folder, "-o", tmp_path / "LICENSE")
    assert (done.returncode, "name it LICENSE.html" in done.stderr) == (2, True)
