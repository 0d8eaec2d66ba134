"""What checkpoints cost: the time that one takes, and its share of training at the default interval.

    python -m benchmarks.checkpoints [--dataset wn18rr] [--models transe complex] [--dim 200] [--json]

Training with the settings' preset (or the defaults) is begun, and then checkpoints are written into a run folder as
training writes them: flushed to disk, with a checksum, the previous but one removed, and the best weights besides those
of the last step, which is the most that there can be.

- ``checkpoint_ms``: one checkpoint, the median;
- ``checkpoint_mb``: its size on disk;
- ``share``: its time over that of the default interval, in percent.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.models import measure_models
from emugraph import Checkpoints, KnowledgeGraph
from emugraph.runs.contents import write_checkpoint
from emugraph.runs.folder import RunFolder
from emugraph.runs.session import Session
from emugraph.training.resolve import resolve_settings
from emugraph.training.trainer import Trainer


def measure(kg: KnowledgeGraph, model: str, dim: int, repeats: int = 9) -> dict[str, Any]:
    """Write checkpoints of a run that has made some steps."""
    settings, _ = resolve_settings(kg, model, {"dim": dim})
    trainer = Trainer(kg, settings, torch.device("cpu"))
    checkpoints = Checkpoints()
    times = []
    with tempfile.TemporaryDirectory() as temporary:
        with RunFolder.create(Path(temporary) / "run") as folder:
            pass
        session = Session(trainer, folder, checkpoints)
        session.best, session.best_step = {n: t.clone() for n, t in trainer.model.state_dict().items()}, -1
        for _ in range(repeats):
            trainer.step()
            started = time.perf_counter()
            write_checkpoint(folder, trainer.step_count, session.state_dict(), checkpoints.keep)
            times.append(time.perf_counter() - started)
        size = (folder.path / folder.checkpoints()[0][1]).stat().st_size
    seconds = statistics.median(times)
    return {
        "checkpoint_ms": round(1000 * seconds, 1),
        "checkpoint_mb": round(size / 1e6, 1),
        "share": round(100 * seconds / (60 * checkpoints.minutes), 3),
    }


if __name__ == "__main__":
    measure_models(__doc__, measure, ["transe", "complex"], "dim", 200)
