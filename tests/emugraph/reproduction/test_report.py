"""The report against metrics worked out by hand from results written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emugraph import Settings
from emugraph.reproduction.cells import Cell
from emugraph.reproduction.experiments import Experiment, Row, Table, build
from emugraph.reproduction.report import render, write_report
from emugraph.reproduction.results import Result, append_result

MakeResult = Callable[..., Result]


def cell(model: str, method: str, seed: int = 0, *, preset: bool = True) -> Cell:
    # A beta of its own, so that no two methods are the same run.
    settings = Settings(model=model, seed=seed, beta=len(method) / 100) if preset else None
    return Cell("fb15k-237", model, method, 100, seed, settings)


@pytest.fixture
def experiment() -> Experiment:
    methods = {"emu": (0, 1, 2), "no-uls": (0,), "plain": (0, 1, 2)}
    rows = tuple(
        Row(title, tuple(tuple(cell(model, m, seed) for seed in seeds) for m, seeds in methods.items()))
        for title, model in (("TransE", "transe"), ("DistMult", "distmult"))
    )
    tables = (
        Table("FB15k-237, d = 100", "model", ("EMU", "without ULS", "plain"), rows),
        Table("Open", "model", ("EMU",), (Row("RotatE", ((cell("rotate", "emu"),),)),)),
        Table("Missing", "model", ("EMU",), (Row("RotatE", ((cell("rotate", "emu", preset=False),),)),)),
    )
    return Experiment("table2", "EMU", "What it is.", tables)


@pytest.fixture
def results(result_of: MakeResult) -> list[Result]:
    distmult = [cell("distmult", "emu", seed) for seed in range(3)]
    return [
        result_of(distmult[0], 0.9, (0.9, 0.9, 0.9)),  # measured again below
        # Mean .333; deviations -.003, -.001, .004: (9 + 1 + 16) / 2 = 13 millionths, whose root is .0036.
        result_of(distmult[0], 0.330, (0.2, 0.3, 0.510), seconds=60),
        result_of(distmult[1], 0.332, (0.3, 0.4, 0.512), seconds=100),
        result_of(distmult[2], 0.337, (0.4, 0.5, 0.508), seconds=80),
        result_of(cell("distmult", "plain", 0), 0.29, (0.1, 0.2, 0.40), seconds=10),
        result_of(cell("distmult", "plain", 2), 0.30, (0.2, 0.3, 0.42), seconds=21, machine="a server"),
        result_of(cell("transe", "emu", 1), 0.325, (0.1, 0.2, 0.503)),
        result_of(cell("complex", "emu"), 0.9, (0.9, 0.9, 0.9)),  # in no table
    ]


def test_entries_by_hand(experiment: Experiment, results: list[Result]) -> None:
    text = render([experiment], results, "`paper.jsonl`")
    assert (
        "### FB15k-237, d = 100\n\n"
        "| model | EMU | without ULS | plain |\n"
        "| --- | --- | --- | --- |\n"
        "| TransE | 0.3250 / 0.5030<br>paper 0.323 / 0.503 | –<br>paper 0.260 / 0.423 | – |\n"
        "| DistMult | 0.3330 ± 0.0036 / 0.5100<br>**below** paper 0.332 / 0.513 | –<br>paper 0.254 / 0.415 "
        "| 0.2950 / 0.4100 |\n\n"
        "Below the paper are 1 of 2 entries: DistMult EMU.\n\n"
    ) in text
    assert "from the 6 runs in `paper.jsonl`" in text
    assert "## EMU\n\nWhat it is.\n\nCommand: `emugraph reproduce table2`\n\n" in text


def test_all_figures_by_hand(experiment: Experiment, results: list[Result]) -> None:
    text = render([experiment], results, "`paper.jsonl`")
    lines = [line for line in text.splitlines() if line.startswith(("| TransE | EMU", "| DistMult | "))]
    assert "| TransE | EMU | 0.3250 | 0.1000 | 0.2000 | 0.5030 | 1 | 60 | +0.0020 | +0.0000 | beta 0.03 |" in lines
    assert "| DistMult | EMU | 0.3330 | 0.3000 | 0.4000 | 0.5100 | 3 | 80 | +0.0010 | -0.0030 | beta 0.03 |" in lines
    assert "| DistMult | plain | 0.2950 | 0.1500 | 0.2500 | 0.4100 | 2 | 16 | – | – | beta 0.05 |" in lines
    assert "Measured with emugraph 0.1 on a laptop; emugraph 0.1 on a server." in text


def test_what_is_not_measured_says_so(experiment: Experiment, results: list[Result]) -> None:
    text = render([experiment], results, "`paper.jsonl`")
    assert "### Open\n\nNot measured yet.\n\n### Missing\n\nThere are no presets for it.\n" in text


def test_a_table_without_published_figures_compares_nothing(result_of: MakeResult) -> None:
    settings = Settings(seed=0, reciprocal=True, steps=7, negatives="all", valid_every=3)
    own = Cell("grid", "transe", "emu", 100, 0, settings)
    table = Table("grid", "model", ("EMU",), (Row("TransE", ((own,),)),))
    text = render([Experiment("e", "E", "C.", (table,))], [result_of(own, 0.25)], "`paper.jsonl`")
    assert "| TransE | 0.2500 / 0.4000 |\n" in text
    assert (
        "| TransE | EMU | 0.2500 | 0.1000 | 0.2000 | 0.4000 | 1 | 60 | reciprocal true, steps 7, negatives all |\n"
        in text
    )
    assert "Below the paper" not in text


def test_rows_that_ought_to_be_ahead(result_of: MakeResult) -> None:
    def own(method: str, sampler: str, beta: float) -> Cell:
        return Cell("grid", "transe", method, 100, 0, Settings(sampler=sampler, beta=beta), sampler)

    cells = {(m, s): own(m, s, 0.5 * (m == "emu")) for m in ("plain", "emu") for s in ("uniform", "khop", "walk")}
    rows = tuple(Row(m, tuple((cells[m, s],) for s in ("uniform", "khop", "walk"))) for m in ("plain", "emu"))
    table = Table("grid", "model", ("uniform", "k-hop", "walk"), rows, (("emu", "plain"),))
    metrics = {("plain", "uniform"): 0.2, ("emu", "uniform"): 0.3, ("plain", "khop"): 0.4, ("emu", "khop"): 0.35}
    results = [result_of(cells[key], mrr) for key, mrr in metrics.items()]
    results.append(result_of(cells["emu", "walk"], 0.1))  # plain is not measured there
    text = render([Experiment("e", "E", "C.", (table,))], results, "`a`")
    assert "The MRR with EMU is at least that of plain in 1 of 2 pairs. It is not for: emu k-hop.\n" in text
    assert "| emu | 0.3000 / 0.4000 | 0.3500 / 0.4000 | 0.1000 / 0.4000 |" in text


def test_every_experiment_is_rendered_from_the_file(tmp_path: Path, result_of: MakeResult) -> None:
    experiments = build()
    path = tmp_path / "paper.jsonl"
    write_report(tmp_path / "RESULTS.md", experiments, [path])  # before there is anything
    first = next(cell for cell in experiments[0].cells if cell.settings is not None)
    append_result(path, result_of(first, 0.3))
    write_report(tmp_path / "RESULTS.md", experiments, [path])
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "from the 1 runs" not in text
    assert "from the 1 run in" in text
    assert "0.3000 / 0.4000" in text
    for experiment in experiments:
        assert f"Command: `emugraph reproduce {experiment.name}`" in text
    assert "| FB15k-237 | TransE | self-adversarial weighting | 0.330 | – | 0.527 |" in text
    for block in text.split("\n\n"):  # every row of a table has as many columns as its header
        rows = [line.count("|") for line in block.splitlines() if line.startswith("|")]
        assert len(set(rows)) <= 1
