"""Settings chosen for a data set and model: one TOML file a data set, in it a table a model and method.

The methods are "emu" and "plain" (cross entropy alone). The table ``[transe.emu]`` serves every dimension that has none
of its own; ``[transe.emu-200]`` is for d = 200, ``[transe.emu-khop]`` for the sampler "khop". A table's
``measured`` part holds what its settings reached: test metrics, seeds, seconds and machine. ``graph``, above the
tables, is the data set's fingerprint: a preset is for the graph with these labels and triples, whatever it is called.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, Literal

from emugraph.data.fingerprint import counts_of, fingerprint
from emugraph.data.graph import KnowledgeGraph
from emugraph.io import toml

Method = Literal["emu", "plain"]

PLAIN: dict[str, Any] = {"mixing": "none", "beta": 0.0}
"""What makes cross entropy plain: negatives are neither mixed nor labelled."""


def find_preset(
    dataset: str, model: str, method: Method, dim: int | None = None, sampler: str = "uniform"
) -> dict[str, Any] | None:
    """The settings for a data set, model and method, without what was measured; None where there are none.

    With ``dim``, those for that dimension where it has a table of its own; their ``dim`` tells which they are. A
    sampler other than uniform has the tables made for it and no others.
    """
    tables = read_presets(dataset).get(model, {})
    table = tables.get(f"{method}-{dim}", tables.get(method))
    if sampler != "uniform":
        table = tables.get(f"{method}-{sampler}")
    return None if table is None else {name: value for name, value in table.items() if name != "measured"}


def dataset_of(kg: KnowledgeGraph) -> str | None:
    """The data set with presets whose labels and triples a graph has, in their order; None where there is none.

    The sum over all of them is made only where the counts are those of such a data set.
    """
    counts = counts_of(kg)
    for file in resources.files(__name__).iterdir():
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            graph = _read(name).get("graph", {})
            if counts.items() <= graph.items() and fingerprint(kg) == graph:
                return name
    return None


def read_presets(dataset: str) -> dict[str, dict[str, dict[str, Any]]]:
    """All tables of a data set's preset file, by model and method; empty where there is no file."""
    return {model: tables for model, tables in _read(dataset.lower()).items() if model != "graph"}


def _read(name: str) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name):
        return {}
    file = resources.files(__name__) / f"{name}.toml"
    return toml.loads(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {}
