from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def kill(kills: int, tmp_path: Path) -> dict[str, int]:
    """In a process of its own, which forks."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.kill_runs", "--kills", str(kills), "--json"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    actual: dict[str, int] = json.loads(done.stdout)
    return actual


def test_runs_killed_at_random_moments_end_the_same(tmp_path: Path) -> None:
    actual = kill(20, tmp_path)
    assert actual["kills"] == 20
    assert actual["identical"] == actual["runs"] > 5
    assert actual["while_writing"] > 0


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    actual = kill(200, tmp_path)
    assert actual["identical"] == actual["runs"]
