"""MRR per model, sampler and method, from measured results: the EMU paper's Figure 3."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from emugraph.errors import InputError
from emugraph.reproduction.cells import METHODS, distinct, title_of
from emugraph.reproduction.experiments import build
from emugraph.reproduction.run_cells import status


@dataclass(frozen=True)
class Bars:
    """MRR by data set, model and series.

    Args:
        values: for each data set, for each series ("uniform, EMU"), for each model the mean test MRR over its seeds.
    """

    values: dict[str, dict[str, dict[str, float]]]


def read_bars(files: Iterable[Path], dim: int = 100) -> Bars:
    """The bars of the cells of ``emugraph reproduce table2 samplers``, EMU and plain cross entropy.

    Args:
        files: of results, one line a run (``benchmarks/results/*.jsonl``).
        dim: the dimension.

    Raises:
        InputError: a line is no result, or there are none.
    """
    cells = distinct(cell for group in build(("table2", "samplers")) for cell in group.cells)
    by_dataset: dict[str, dict[str, dict[str, list[float]]]] = {}
    for entry in status(cells, *files):
        cell = entry.cell
        if entry.result is not None and cell.method in ("emu", "plain") and cell.dim == dim:
            series = f"{cell.sampler}, {METHODS[cell.method]}"
            models = by_dataset.setdefault(title_of(cell.dataset), {}).setdefault(series, {})
            models.setdefault(title_of(cell.model), []).append(entry.result.mrr)
    if not by_dataset:
        looked = ", ".join(map(str, files))
        raise InputError(f"there are no results with d = {dim} in {looked}; measure some with: emugraph reproduce")
    means = {
        dataset: {
            name: {model: sum(values) / len(values) for model, values in sorted(models.items())}
            for name, models in sorted(series.items())
        }
        for dataset, series in sorted(by_dataset.items())
    }
    return Bars(means)
