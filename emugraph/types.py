"""The words that the whole of emugraph shares: sides, parts of a triple, splits."""

from __future__ import annotations

from typing import Literal

Side = Literal["head", "tail"]
"""The side of a triple that is corrupted, or predicted from the other one and the relation."""

SIDES: tuple[Side, Side] = ("tail", "head")

Part = Literal["head", "relation", "tail"]
"""What a query asks for."""

COLUMN: dict[Part, int] = {"head": 0, "relation": 1, "tail": 2}
"""Where it stands in a triple."""

SPLITS = ("train", "valid", "test")
