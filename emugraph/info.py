"""What ``emugraph info`` prints."""

from __future__ import annotations

from typing import Any

import torch

from emugraph import _dgl, datasets, kernels
from emugraph.errors import EmugraphError
from emugraph.system import choose_device, machine, versions


def describe() -> dict[str, dict[str, Any]]:
    """Versions, machine, devices and folders, as ``emugraph info`` prints them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "versions": {**versions(), "dgl build": _dgl_build(count > 0)},
        "machine": machine(choose_device("auto")) | {"kernels": kernels.status()},
        "devices": {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(count)} or {"cuda": "none"},
        "folders": {name: str(path) for name, path in datasets.folders().items()},
    }


def _dgl_build(has_cuda: bool) -> str:
    """What this DGL computes on as far as can be told here, or why it computes nothing."""
    if not _dgl.installed():
        return "none"
    try:
        dgl = _dgl.load("its build is asked for")
    except EmugraphError as error:
        return str(error)
    if not has_cuda:
        return "cpu"
    try:
        dgl.graph(([0], [0])).to("cuda")
    except dgl.DGLError:
        return "cpu"
    return "cuda"
