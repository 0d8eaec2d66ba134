"""Cells: single training runs, each with the full settings that it stands for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emugraph.errors import InputError, nearest
from emugraph.training.presets import PLAIN, find_preset
from emugraph.training.settings import Settings

METHODS: dict[str, str] = {
    "emu": "EMU",
    "no-uls": "without ULS",
    "no-mutation": "without mutation",
    "neither": "without both",
    "mixup": "MIXUP",
    "plain": "plain",
}
"""Methods and what a table calls them. All but "plain", which has presets of its own, are the EMU preset, changed."""

_CHANGES: dict[str, dict[str, Any]] = {
    "no-uls": {"beta": 0.0},
    "no-mutation": {"mixing": "none"},
    "neither": PLAIN,
    "mixup": {"mixing": "mixup"},
    "plain": PLAIN,
}

_TITLES = {
    "fb15k-237": "FB15k-237",
    "wn18rr": "WN18RR",
    "transe": "TransE",
    "distmult": "DistMult",
    "complex": "ComplEx",
    "rotate": "RotatE",
}

RunKey = tuple[str, str, Settings]


def title_of(name: str) -> str:
    """How a data set or a model is written in a text."""
    return _TITLES.get(name.casefold(), name)


@dataclass(frozen=True)
class Cell:
    """One training run.

    Args:
        dataset: a data set's name or path, as ``emugraph.load_dataset`` takes it.
        model: the score function.
        method: a name in ``METHODS``.
        dim: the dimension.
        seed: the seed.
        settings: everything that is run; None where data set, model and dimension have no preset.
        sampler: the negative sampler.
        changes: settings in which it differs from its method, for titles.
    """

    dataset: str
    model: str
    method: str
    dim: int
    seed: int
    settings: Settings | None
    sampler: str = "uniform"
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """The cell in words."""
        words = f"{title_of(self.dataset)} {title_of(self.model)} {self.method} d {self.dim} seed {self.seed}"
        if self.sampler != "uniform":
            words += f" {self.sampler}"
        return ", ".join([words, *(f"{name} {value}" for name, value in self.changes)])

    @property
    def key(self) -> RunKey | None:
        """What makes two cells the same run; None where there is nothing to run."""
        return None if self.settings is None else (self.dataset.casefold(), self.sampler, self.settings)


def preset_cell(
    dataset: str,
    model: str,
    method: str,
    *,
    dim: int = 100,
    seed: int = 0,
    sampler: str = "uniform",
    most_steps: int | None = None,
    **changes: Any,
) -> Cell:
    """The cell of a method: the preset of data set, model and dimension, with what the method changes in it.

    Args:
        dataset: a data set's name.
        model: the score function.
        method: a name in ``METHODS``.
        dim: the dimension; only a preset of just this dimension counts.
        seed: the seed.
        sampler: the negative sampler.
        most_steps: a bound on the preset's steps.
        changes: further settings.
    """
    preset = find_preset(dataset, model, "plain" if method == "plain" else "emu", dim, sampler)
    settings = None
    if preset is not None and preset.get("dim") == dim:
        values = {**preset, **_CHANGES.get(method, {}), **changes, "model": model, "seed": seed}
        settings = Settings.create(values, source=f"the preset of {dataset}, {model}")
        if most_steps is not None and settings.steps > most_steps:
            settings = settings.model_copy(update={"steps": most_steps})
    return Cell(dataset, model, method, dim, seed, settings, sampler, changes=tuple(changes.items()))


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """The cells, each run once: of several that are the same run, the first."""
    first: dict[Any, Cell] = {}
    for cell in cells:
        first.setdefault(cell.key or cell, cell)
    return list(first.values())


def in_running_order(cells: Iterable[Cell]) -> list[Cell]:
    """The cells with the most wanted first.

    EMU before plain before the ablations, the first seed of all before the second, and what an appendix changes last.
    """
    rank = {"emu": 0, "plain": 1}
    return sorted(cells, key=lambda cell: (bool(cell.changes), cell.seed, rank.get(cell.method, 2)))


def select(cells: Sequence[Cell], **wanted: Collection[Any]) -> list[Cell]:
    """The cells with the wanted values.

    Args:
        cells: where to choose from.
        wanted: for a cell's attribute, such as ``model``, the values that are wanted; with none, all are.

    Raises:
        InputError: no cell has a wanted value, or none has all of them together.
    """
    chosen = list(cells)
    for attribute, values in wanted.items():
        known = {_folded(getattr(cell, attribute)): getattr(cell, attribute) for cell in cells}
        for value in values:
            if _folded(value) not in known:
                names = [str(name) for name in known.values()]
                hint = nearest(str(value), names) if isinstance(value, str) else ""
                raise InputError(f"no cell has the {attribute} {value!r}; there are: {', '.join(names)}.{hint}")
        if values:
            folded = {_folded(value) for value in values}
            chosen = [cell for cell in chosen if _folded(getattr(cell, attribute)) in folded]
    if not chosen:
        criteria = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in wanted.items() if values)
        raise InputError(f"no cell has all of: {criteria}")
    return chosen


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
