from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

TEXT = """
[options]
install_requires =
    dgl>=1.1.3,!=2.1.0; python_version < "3.12"
    packaging
    numpy >= 1.24, < 3
[options.extras_require]
plot =
    matplotlib>=3.8
test =
    pytest>=8
"""


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("floor")


def test_lower_bounds_become_pins(tool: ModuleType) -> None:
    assert tool.floors(TEXT, []) == ['dgl==1.1.3; python_version < "3.12"', "numpy==1.24"]
    assert tool.floors(TEXT, ["plot"])[2:] == ["matplotlib==3.8"]


def test_what_is_no_requirement(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match="'>=1' is no requirement"):
        tool.floor_of(">=1")


def test_the_projects_own(tool: ModuleType) -> None:
    actual = tool.floors(tool.SETUP.read_text(encoding="utf-8"), ["test"])
    assert len(actual) == len({line.partition("==")[0] + line.partition(";")[2] for line in actual}) > 20
