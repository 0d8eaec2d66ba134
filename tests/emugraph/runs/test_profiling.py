from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import emugraph
from emugraph import KnowledgeGraph, Profile
from emugraph.cli.main import app


def test_a_profile_counts_the_parts_of_a_run(family: KnowledgeGraph, tmp_path: Path) -> None:
    profile = Profile()
    started = time.perf_counter()
    run = emugraph.train(
        family, output=tmp_path / "run", callbacks=[profile], steps=30, valid_every=10, dim=8, negatives=4
    )
    took = time.perf_counter() - started
    parts = {part.name: part for part in profile.parts}
    of_step = ["batch", "negatives", "look-up", "scores", "loss", "backward", "optimizer"]
    assert list(parts)[:7] == of_step
    assert all(parts[name].calls == 30 for name in of_step)
    assert {"validation", "writing", "final metrics", "calibration", "other"} < parts.keys()
    assert sum(part.share for part in profile.parts) == pytest.approx(1)
    assert sum(part.seconds for part in profile.parts) == pytest.approx(profile.total)
    assert all(part.seconds >= 0 for part in profile.parts)
    assert 0 < profile.total < took
    assert profile.peak_memory["cpu"] > 50e6
    plain = emugraph.train(family, output=tmp_path / "other", steps=30, valid_every=10, dim=8, negatives=4)
    assert torch.equal(plain.model.entities, run.model.entities)


def test_the_command_prints_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graph.tsv").write_text("a\tr\tb\nb\tr\tc\nc\tr\ta\na\ts\tc\n")
    options = ["graph.tsv", "--split", "1,0,0", "--steps", "5", "--dim", "4", "--profile"]
    done = CliRunner().invoke(app, ["train", *options])
    assert done.exit_code == 0, done.output
    for part in ("backward", "optimizer", "in all", "memory at most"):
        assert part in done.output
