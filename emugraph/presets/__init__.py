"""Settings chosen for a data set and model, one TOML file a data set, one table a model.

A table's ``measured`` part holds what these settings reached: test figures, seed, seconds and machine.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from emugraph import toml


def find_preset(dataset: str, model: str) -> dict[str, Any] | None:
    """The settings for a data set and model, without what was measured; None where there are none."""
    table = read_presets(dataset).get(model)
    return None if table is None else {name: value for name, value in table.items() if name != "measured"}


def read_presets(dataset: str) -> dict[str, dict[str, Any]]:
    """All tables of a data set's preset file, by model; empty where there is no file."""
    name = dataset.lower()
    if not name.replace("-", "").replace("_", "").isalnum():
        return {}
    file = resources.files(__name__) / f"{name}.toml"
    return toml.loads(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {}
