"""Whether the shapes of a step may depend on numbers."""

from __future__ import annotations

from torch import Tensor

everywhere = False
"""Have fixed shapes on a CPU too, as tests do."""


def fixed(tensor: Tensor) -> bool:
    """Whether what is made of a tensor must have a shape that can be told without looking at its numbers.

    A CPU does the least with the fewest numbers. A GPU would have the host wait to learn how many there are, between
    steps that otherwise follow each other at once, and a step that is recorded cannot learn it at all
    (:mod:`emugraph.training.cuda_graphs`).
    """
    return everywhere or tensor.device.type != "cpu"
