"""What a run is made with: versions, machine, device, memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from emugraph._version import __version__
from emugraph.errors import InputError, nearest


def versions() -> dict[str, str]:
    """Versions of emugraph, Python, torch and DGL, which may be "not installed"."""
    return {
        "emugraph": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "dgl": _dgl_version(),
    }


def _dgl_version() -> str:
    """DGL's version, asked without loading it, which takes a second and 40 MB."""
    try:
        return metadata.version("dgl")
    except metadata.PackageNotFoundError:
        return "not installed"


def machine(device: torch.device) -> dict[str, Any]:
    """The machine in words and numbers: system, processor, cores, threads, memory, and the device in use."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": describe_device(device),
        "matmul_precision": matmul_precision(),
    }


def describe_device(device: torch.device) -> str:
    """A device's name for a reader."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def choose_device(name: str) -> torch.device:
    """The device for "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        InputError: not a device, or CUDA is asked for and torch finds none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:0, ...") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device {name!r} is not supported; known: auto, cpu, cuda")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise InputError(f"device {name!r} was asked for, but torch finds {count} CUDA devices; use --device cpu")
    return device


PRECISIONS = ("highest", "high", "medium")


@contextlib.contextmanager
def with_matmul_precision(name: str | None) -> Iterator[None]:
    """Have PyTorch multiply float32 matrices with a precision, and afterwards as before.

    Args:
        name: what ``torch.set_float32_matmul_precision`` takes: "highest" for float32 throughout; "high" for factors of
            TensorFloat32, with 10 bits of fraction, on a CUDA device; "medium" for factors of bfloat16, with 7 bits,
            on a CPU that multiplies such numbers, and as "high" on a CUDA device. None for what is set.

    Raises:
        InputError: it is none of these.
    """
    if name is None:
        yield
        return
    if name not in PRECISIONS:
        raise InputError(f"unknown precision {name!r}; known: {', '.join(PRECISIONS)}.{nearest(name, PRECISIONS)}")
    before = _named_precision()
    of_backends = [] if before else [(backend, backend.fp32_precision) for backend in _backends()]
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before or "highest")
        for backend, precision in of_backends:
            backend.fp32_precision = precision


def matmul_precision() -> str:
    """What float32 matrices are multiplied with: "highest", "high" or "medium".

    Where backends were set one by one (``torch.backends.cuda.matmul.fp32_precision = "tf32"``), none of these names
    says it; then what each is set to: "cuda tf32, cpu none".
    """
    name = _named_precision()
    if name is None:
        cuda, cpu = _backends()
        name = f"cuda {cuda.fp32_precision}, cpu {cpu.fp32_precision}"
    return name


def _backends() -> tuple[Any, Any]:
    mkldnn: Any = torch.backends.mkldnn
    return torch.backends.cuda.matmul, mkldnn.matmul


def _named_precision() -> str | None:
    """What PyTorch says; None where it refuses to, since backends were set one by one."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def usable_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its control group's limit where that is lower."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max", or no such file: no limit
            memory = min(memory, int(Path(limit).read_text(encoding="ascii")))
    return memory


_UNITS = ("B", "kB", "MB", "GB", "TB")


def format_bytes(count: float) -> str:
    """A number of bytes for a reader, in decimal units: "36.0 MB"."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:.0f} B"


def parse_bytes(text: str) -> int:
    """The inverse: "8GB", "8 GB", "8G", "512M" or a plain number of bytes.

    Raises:
        InputError: it is none of these.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise InputError(f"{text!r} is no amount of memory; give it as 8GB or 512MB")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " "))


def keep_freed_memory() -> bool:
    """Have the C library keep memory that is freed for the next allocation, and tell whether it does.

    By default glibc gives the large arrays of each training step back to the system, and having them anew takes up to
    a seventh of a step. It is for a whole process and so for its program to choose: the command line does.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    change = ctypes.CDLL(None).mallopt
    return bool(change(mmap_threshold, 32 << 20) and change(trim_threshold, 2**31 - 1))  # the highest that it takes


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
