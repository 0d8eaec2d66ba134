"""The tools are no package that is installed: tests load them from their files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def load_tool() -> Callable[[str], ModuleType]:
    """Loads the tool of a name."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).resolve().parents[2] / "tools" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # a dataclass looks itself up there
        spec.loader.exec_module(module)
        return module

    return load
