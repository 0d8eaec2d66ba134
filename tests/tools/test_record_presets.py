"""The tool that writes what presets reached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from emugraph import Settings
from emugraph.io import toml
from emugraph.reproduction.results import Result
from emugraph.training.presets import PLAIN, read_presets

TEXT = """# A comment.

[transe.emu]
dim = 100
steps = 7

[transe.emu.measured]
test_mrr = 0.9

[transe.plain-200]
dim = 200
steps = 8

[transe.emu-in-batch]
dim = 100
sampler = "in-batch"

[transe-l2.emu]
dim = 100
steps = 9

[transe-l2.emu.measured]
test_mrr = 0.7
"""


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("record_presets")


def test_readme_has_the_figures_of_the_presets(tool: ModuleType) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert tool.with_figures(readme) == readme
    transe = read_presets("wn18rr")["transe"]["emu"]["measured"]
    (row,) = [line for line in readme.splitlines() if line.startswith("| WN18RR | TransE | 100 | ")]
    assert row.split(" | ")[3] == f"{transe['test_mrr']:.4f}"


def result(mrr: float, seconds: float, **settings: object) -> Result:
    full = Settings.create(settings)
    return Result(
        dataset="any",
        model=full.model,
        sampler=full.sampler,
        method="emu",
        dim=full.dim,
        seed=full.seed,
        steps=full.steps,
        seconds=seconds,
        mrr=mrr,
        hits_at_1=0.1,
        hits_at_3=0.2,
        hits_at_10=0.3,
        valid_mrr=0.25,
        version="0",
        machine="a machine",
        settings=full.model_dump(mode="json"),
    )


def test_means_over_seeds_take_the_place_of_what_stood_there(tool: ModuleType) -> None:
    results = [
        result(0.2, 10, model="transe", steps=7, seed=0),
        result(0.3, 30, model="transe", steps=7, seed=2),
        result(0.8, 30, model="transe", steps=6, seed=1),  # of other settings
        result(0.4, 5, model="transe", dim=200, steps=8, **PLAIN),
        result(0.6, 5, model="transe", sampler="in-batch"),
    ]
    written, missing = tool.record(TEXT, "any", results)
    assert written.startswith("# A comment.\n\n[transe.emu]\ndim = 100\nsteps = 7\n\n[transe.emu.measured]\n")
    tables = toml.loads(written, "test")
    emu, plain = tables["transe"]["emu"]["measured"], tables["transe"]["plain-200"]["measured"]
    assert (emu["test_mrr"], emu["seeds"], emu["steps"], emu["seconds"]) == (0.25, [0, 2], 7, 20.0)
    assert emu["command"] == "emugraph train any --model transe --seed 0"
    assert plain["test_mrr"] == 0.4
    assert plain["command"] == "emugraph train any --model transe --no-emu --dim 200 --seed 0"
    in_batch = tables["transe"]["emu-in-batch"]["measured"]
    assert in_batch["test_mrr"] == 0.6
    assert in_batch["command"] == "emugraph train any --model transe --sampler in-batch --seed 0"
    assert missing == ["transe-l2.emu"]
    assert "measured" not in tables["transe-l2"]["emu"]  # what stood there was not reached with these settings
    assert tool.record(written, "any", results) == (written, missing)


def test_it_finds_the_presets(tool: ModuleType) -> None:
    assert sorted(path.stem for path in tool.PRESETS.glob("*.toml")) == ["fb15k-237", "wn18rr"]
