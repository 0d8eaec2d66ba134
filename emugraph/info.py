"""What ``emugraph info`` prints."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from emugraph import datasets, kernels
from emugraph._dgl import dgl
from emugraph.system import choose_device, machine, versions


def describe() -> dict[str, dict[str, Any]]:
    """Versions, machine, devices and folders, as ``emugraph info`` prints them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    build = "cpu"
    if count:
        with contextlib.suppress(dgl.DGLError):
            dgl.graph(([0], [0])).to("cuda")
            build = "cuda"
    return {
        "versions": {**versions(), "dgl build": build},
        "machine": machine(choose_device("auto")) | {"kernels": kernels.status()},
        "devices": {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(count)} or {"cuda": "none"},
        "folders": {name: str(path) for name, path in datasets.folders().items()},
    }
