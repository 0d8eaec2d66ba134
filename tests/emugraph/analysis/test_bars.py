from __future__ import annotations

from pathlib import Path

import pytest

from emugraph import InputError
from emugraph.analysis import read_bars
from emugraph.reproduction.cells import distinct
from emugraph.reproduction.experiments import build
from emugraph.reproduction.run_cells import status

RESULTS = Path(__file__).resolve().parents[3] / "benchmarks" / "results"


def test_means_over_seeds_of_the_results_that_stand_in_the_report() -> None:
    files = [RESULTS / "paper.jsonl", RESULTS / "samplers.jsonl"]
    bars = read_bars(files).values
    cells = status(list(distinct(cell for group in build(["table2"]) for cell in group.cells)), *files)
    for dataset, title in (("fb15k-237", "FB15k-237"), ("wn18rr", "WN18RR")):
        for method, name in (("emu", "EMU"), ("plain", "plain")):
            ours = [
                entry.result.mrr
                for entry in cells
                if entry.result
                and (entry.cell.dataset.lower(), entry.cell.model, entry.cell.method) == (dataset, "distmult", method)
            ]
            assert len(ours) == 3
            assert bars[title][f"uniform, {name}"]["DistMult"] == pytest.approx(sum(ours) / 3)


def test_nothing_measured(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no results with d = 100"):
        read_bars([tmp_path / "none.jsonl"])
