"""Experiments: the tables of the paper and its appendices as tables of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from emugraph._renamed import names_of
from emugraph.errors import InputError, nearest
from emugraph.reproduction.cells import METHODS, Cell, distinct, preset_cell, title_of

DATASETS = ("fb15k-237", "wn18rr")
MODELS = ("transe", "distmult", "complex", "rotate")
SEEDS = (0, 1, 2)
APPENDIX_STEPS = 3000
"""The most steps of a run that is in no table of the paper's main part: enough to compare, and cheap."""


@dataclass(frozen=True)
class Row:
    """A row of a table: for each of its columns the cells averaged there, which differ in their seed; or no cell."""

    title: str
    entries: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table of cells; ``corner`` says what its rows are."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    ahead: tuple[tuple[str, str], ...] = ()
    """Pairs of titles of rows: the first ought to be ahead of the second, and the report says where it is not."""

    @property
    def cells(self) -> list[Cell]:
        """Its cells, row by row."""
        return [cell for row in self.rows for entry in row.entries for cell in entry]


@dataclass(frozen=True)
class Experiment:
    """A group of tables under one name, with what a reader must know of how they are made."""

    name: str
    title: str
    caption: str
    tables: tuple[Table, ...]
    file: str = "paper.jsonl"
    """The file of its results in ``benchmarks/results``."""

    @property
    def cells(self) -> list[Cell]:
        """Its cells, each run once."""
        return distinct(cell for table in self.tables for cell in table.cells)


def table2() -> Experiment:
    """The ablation of EMU, Table 2 of the paper."""
    return Experiment(
        "table2",
        "EMU and what it is made of (Table 2)",
        "Uniform negatives. EMU is the preset of data set, model and dimension; its mutated term is divided by the "
        "number of negatives, as the authors' code does. Without ULS: its mutated negatives have the label 0, so that "
        "this term weighs next to nothing beside the plain one. Without mutation: its negatives are not mutated and "
        "keep their label. Without both: cross entropy with all other settings as for EMU, among them no "
        "regularization on FB15k-237, where the authors' baselines had some. Plain: cross entropy with settings tuned "
        "for it. EMU and plain have the seeds 0, 1 and 2, the others seed 0, as far as they are measured.",
        tuple(
            _models_by_methods(dataset, 100, {m: SEEDS if m in ("emu", "plain") else SEEDS[:1] for m in _ABLATION})
            for dataset in DATASETS
        ),
    )


_ABLATION = ("emu", "no-uls", "no-mutation", "neither", "plain")


def table3() -> Experiment:
    """Mutation against MIXUP, Table 3 of the paper."""
    return Experiment(
        "table3",
        "EMU and MIXUP (Table 3)",
        "MIXUP is the EMU preset with negatives mixed in proportion in place of mutated. Seed 0.",
        tuple(_models_by_methods(dataset, 100, {"emu": SEEDS[:1], "mixup": SEEDS[:1]}) for dataset in DATASETS),
    )


SAMPLERS = {"uniform": "uniform", "khop": "k-hop", "walk": "random walk", "nscaching": "NSCaching"}
"""The samplers that are compared, and what a table calls them."""


def samplers() -> Experiment:
    """EMU on top of each negative sampler."""
    return Experiment(
        "samplers",
        "EMU on top of negative samplers",
        "Each sampler with the presets made for it, with EMU and with plain cross entropy, d = 100, seed 0. k-hop and "
        "random walk are SANS and RW-SANS, with negatives that are no training triples. Uniform's presets are tuned; "
        "the others are uniform's with fewer steps and negatives, and on WN18RR five hops. NSCaching's were tried "
        "further on FB15k-237 with DistMult, by validation: seven other settings of EMU (mutation rate .2 and .8, "
        "alpha 0, .02 and 1, beta .1 and .6) and four of plain cross entropy (learning rate, regularization, "
        "negatives) were no better than these. EMU helps where negatives are weak; NSCaching's are hard already.",
        tuple(_methods_by_samplers(dataset) for dataset in DATASETS),
        file="samplers.jsonl",
    )


def _methods_by_samplers(dataset: str) -> Table:
    rows = [
        Row(
            f"{title_of(model)}, {METHODS[method]}",
            tuple((preset_cell(dataset, model, method, sampler=sampler),) for sampler in SAMPLERS),
        )
        for model in MODELS
        for method in ("plain", "emu")
    ]
    ahead = tuple(
        (f"{title_of(model)}, {METHODS['emu']}", f"{title_of(model)}, {METHODS['plain']}") for model in MODELS
    )
    return Table(f"{title_of(dataset)}, d = 100", "model", tuple(SAMPLERS.values()), tuple(rows), ahead)


def larger() -> Experiment:
    """EMU with larger embeddings."""
    return Experiment(
        "larger",
        "EMU with d = 200",
        "Uniform negatives, EMU, the presets for this dimension, seed 0.",
        tuple(_models_by_methods(dataset, 200, {"emu": SEEDS[:1]}) for dataset in DATASETS),
    )


def negatives() -> Experiment:
    """Metrics by the number of negatives."""
    rows = [
        Row(f"{count:,}", tuple((_appendix("distmult", method, negatives=count),) for method in ("emu", "plain")))
        for count in (16, 64, 256, 1024, 4096)
    ]
    table = Table("FB15k-237, DistMult, d = 100", "negatives", _titles("emu", "plain"), tuple(rows))
    return Experiment("negatives", "The number of negatives", f"The presets otherwise. {_CHEAP}", (table,))


def sensitivity() -> Experiment:
    """Metrics by each of EMU's three parameters, one at a time."""
    swept = {
        "mutation_rate": (0.1, 0.3, 0.5, 0.7, 0.9),
        "beta": (0.0, 0.25, 0.5, 0.75, 1.0),
        "alpha": (0.0, 0.03, 0.1, 0.3, 1.0),
    }
    tables = [
        Table(
            f"{name}: FB15k-237, DistMult, d = 100",
            name,
            _titles("emu"),
            tuple(Row(f"{value:g}", ((_appendix("distmult", "emu", **{name: value}),),)) for value in values),
        )
        for name, values in swept.items()
    ]
    preset = preset_cell("fb15k-237", "distmult", "emu").settings
    at = "" if preset is None else f" ({', '.join(f'{name} {getattr(preset, name):g}' for name in swept)})"
    return Experiment(
        "sensitivity",
        "EMU's parameters",
        f"One parameter at a time; the others are the preset's{at}. mutation_rate is the share of components taken "
        f"from the positive, beta the label of a mutated negative (Eq. 4), alpha the weight of the unmutated "
        f"negatives' term (Eq. 5). {_CHEAP}",
        tuple(tables),
    )


def label_smoothing() -> Experiment:
    """Unbounded label smoothing against the ordinary one."""
    # Labels that sum to one leave nothing to divide by the number of negatives.
    smoothed = {"labels": "smoothed", "divide_by_negatives": False}
    columns: dict[str, tuple[str, dict[str, Any]]] = {
        "ULS, mutated": ("emu", {}),
        "label smoothing, mutated": ("emu", smoothed),
        "ULS, not mutated": ("no-mutation", {}),
        "label smoothing, not mutated": ("no-mutation", smoothed),
    }
    rows = [
        Row(
            f"{beta:g}",
            tuple((_appendix("distmult", method, beta=beta, **labels),) for method, labels in columns.values()),
        )
        for beta in (0.1, 0.3, 0.5)
    ]
    table = Table("FB15k-237, DistMult, d = 100", "beta", tuple(columns), tuple(rows))
    return Experiment(
        "label-smoothing",
        "Unbounded and ordinary label smoothing",
        "ULS gives each negative the label beta (Eq. 4), ordinary label smoothing spreads beta over all classes "
        "(Eq. 3), and its term is not divided by the number of negatives. The EMU preset otherwise. "
        f"{_CHEAP}",
        (table,),
    )


def masks() -> Experiment:
    """Metrics by how many negatives share a mask."""
    models = ("transe", "distmult", "complex")
    rows = [
        Row(f"{size:,}", tuple((_appendix(model, "emu", mask_group=size),) for model in models)) for size in MASK_GROUPS
    ]
    columns = tuple(title_of(model) for model in models)
    return Experiment(
        "masks",
        "Masks that several negatives share",
        "mask_group is the number of consecutive negatives that share a mutation mask: with 1 each has its own, with "
        f"16 or more the mutated scores come nearly for nothing on a CPU. The EMU presets otherwise. {_CHEAP}",
        (Table("FB15k-237, d = 100", "mask_group", columns, tuple(rows)),),
    )


MASK_GROUPS = (1, 16, 128, 1024)


# What is added to minus a distance is not for products.
_OTHER_LOSSES = (
    ("transe", "self-adversarial", 9.0),
    ("transe", "margin-ranking", 9.0),
    ("transe", "binary-cross-entropy", 9.0),
    ("distmult", "self-adversarial", 0.0),
    ("distmult", "margin-ranking", 1.0),
    ("distmult", "binary-cross-entropy", 0.0),
)


def beyond() -> Experiment:
    """What the paper has no results for: every entity as a negative, and other losses."""
    every = [
        Row(
            title_of(model),
            tuple((_appendix(model, method, negatives="all", batch_size=500),) for method in ("emu", "plain")),
        )
        for model in ("distmult", "complex")
    ]
    losses = [
        Row(
            f"{title_of(model)}, {loss}",
            tuple((_appendix(model, method, loss=loss, margin=margin),) for method in ("emu", "neither")),
        )
        for model, loss, margin in _OTHER_LOSSES
    ]
    return Experiment(
        "beyond",
        "Beyond the paper",
        "Every entity as a negative, and EMU with other losses. Only what the tables name differs from the presets, "
        f"which were tuned with sampled negatives and cross entropy. {_CHEAP}",
        (
            Table(
                "Every entity as a negative: FB15k-237, d = 100, 500 positives a step",
                "model",
                _titles("emu", "plain"),
                tuple(every),
            ),
            Table("Other losses: FB15k-237, d = 100", "model, loss", _titles("emu", "neither"), tuple(losses)),
        ),
    )


_CHEAP = f"At most {APPENDIX_STEPS:,} steps a run. Seed 0."

EXPERIMENTS: dict[str, Callable[[], Experiment]] = {
    "table2": table2,
    "table3": table3,
    "larger": larger,
    "samplers": samplers,
    "negatives": negatives,
    "sensitivity": sensitivity,
    "label-smoothing": label_smoothing,
    "masks": masks,
    "beyond": beyond,
}
"""All experiments by name, in the order of the report."""

DEFAULT = ("table2", "table3")

FILES = ("paper.jsonl", "samplers.jsonl")
"""The files of results in ``benchmarks/results``."""


def build(names: Iterable[str] = ()) -> list[Experiment]:
    """The named experiments, made from today's presets; without names, all.

    Raises:
        InputError: an unknown name; the nearest known one is given.
    """
    names = list(names) or list(EXPERIMENTS)
    for name in names:
        if name not in EXPERIMENTS:
            raise InputError(
                f"unknown experiment {name!r}; known: {', '.join(EXPERIMENTS)}.{nearest(name, EXPERIMENTS)}"
            )
    return [EXPERIMENTS[name]() for name in dict.fromkeys(names)]


def _models_by_methods(dataset: str, dim: int, seeds: dict[str, Sequence[int]]) -> Table:
    rows = [
        Row(
            title_of(model),
            tuple(
                tuple(preset_cell(dataset, model, method, dim=dim, seed=seed) for seed in seeds[method])
                for method in seeds
            ),
        )
        for model in MODELS
    ]
    return Table(f"{title_of(dataset)}, d = {dim}", "model", _titles(*seeds), tuple(rows))


def _appendix(model: str, method: str, **changes: Any) -> Cell:
    return preset_cell("fb15k-237", model, method, most_steps=APPENDIX_STEPS, **changes)


def _titles(*methods: str) -> tuple[str, ...]:
    return tuple(METHODS[method] for method in methods)


__getattr__ = names_of(__name__)
