"""What run folders of formats 1 and 2 called by other names.

They are told by the names themselves and not by the folder's format, so that a folder is sound at every moment while it
is resumed and takes on the current names file by file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emugraph.training.settings import with_current_names

METRICS = "figures.json"
"""What ``metrics.json`` was called."""


def calibration_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A part of ``calibration.json``: ``queries`` was ``questions``."""
    return {"queries" if name == "questions" else name: value for name, value in values.items()}


def checkpoint_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state in a checkpoint, whose settings may have their old names."""
    settings = state.get("settings")
    return dict(state) | ({"settings": with_current_names(settings)} if isinstance(settings, Mapping) else {})
