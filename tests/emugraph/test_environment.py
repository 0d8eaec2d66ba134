from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from emugraph.environment import keep_freed_memory

def faults(mebibytes):
    for repeat in range(15):
        if repeat == 5:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        matrices = [torch.ones(mebibytes << 18) for _ in range(4)]
        del matrices
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory() if sys.argv[1] == "keep" else None
print(kept, faults(4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_memory_that_is_kept_is_not_asked_for_again() -> None:
    # The thresholds that a process starts with; without them they move with what is freed, and with them the faults.
    start = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    faults = {}
    for choice in ("keep", "default"):
        done = subprocess.run(
            [sys.executable, "-c", CODE, choice], capture_output=True, text=True, check=True, env=os.environ | start
        )
        kept, count = done.stdout.split()
        assert kept == ("True" if choice == "keep" else "None")
        faults[choice] = int(count)
    assert faults["keep"] < 100 < faults["default"]
