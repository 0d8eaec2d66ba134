"""RESULTS.md: every table of every experiment, from the results on disk and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emugraph.io.atomic import write_text
from emugraph.reproduction.cells import Cell, RunKey, title_of
from emugraph.reproduction.checks import CHECKS, Check, read_checks
from emugraph.reproduction.experiments import Experiment, Table
from emugraph.reproduction.reference import DECIMALS, Published, published, read_reference
from emugraph.reproduction.results import Result, by_run, read_results
from emugraph.training.settings import Settings

DASH = "–"


@dataclass(frozen=True)
class Entry:
    """What an entry of a table shows: the results of its seeds, and the paper's metrics where it has some."""

    results: tuple[Result, ...]
    paper: Published | None

    @property
    def mrr(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(result.mrr for result in self.results)

    @property
    def hits(self) -> tuple[float, float, float]:
        """Hits@1, Hits@3 and Hits@10, means over the seeds."""
        shares = [(result.hits_at_1, result.hits_at_3, result.hits_at_10) for result in self.results]
        first, third, tenth = (statistics.fmean(values) for values in zip(*shares, strict=True))
        return first, third, tenth

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation of the MRR; None with fewer than three seeds."""
        return statistics.stdev(result.mrr for result in self.results) if len(self.results) >= 3 else None

    @property
    def seconds(self) -> float:
        """Median seconds of a run."""
        return statistics.median(result.seconds for result in self.results)

    @property
    def below(self) -> bool:
        """Whether MRR or Hits@10 is below the paper's."""
        return bool(self.results and self.paper and self.paper.is_missed_by(self.mrr, self.hits[-1]))


def write_report(path: Path, experiments: Iterable[Experiment], results: Sequence[Path]) -> None:
    """Write the report of files of results.

    Raises:
        InputError: a file of results is damaged.
        EmugraphError: the report cannot be written.
    """
    read = [result for file in results for result in read_results(file)]
    checks = read_checks(results[0].with_name(CHECKS)) if results else []
    write_text(path, render(experiments, read, " and ".join(f"`{file.as_posix()}`" for file in results), checks))


def render(
    experiments: Iterable[Experiment], results: Iterable[Result], source: str, checks: Sequence[Check] = ()
) -> str:
    """The report in Markdown.

    Args:
        experiments: what to show; a cell without a result is a dash.
        results: the results, of which those are taken whose settings are a cell's.
        source: where they come from, in Markdown.
        checks: what else was measured.
    """
    by_cell = by_run(results)
    experiments = list(experiments)
    used = {cell.key for experiment in experiments for cell in experiment.cells} & by_cell.keys()
    origin = (
        f"Written by `emugraph reproduce` from {_runs(len(used))} in {source} with the settings of today's "
        "presets. Metrics are those of the weights with the best validation MRR, on test, filtered, heads and tails "
        "together, ties at their mean rank."
    )
    legend = (
        "An entry is MRR / Hits@10, the mean over the seeds; ± is the sample standard deviation of the MRR, where "
        f"there are three seeds or more. {DASH} is not measured. Seconds are those of training and validation of one "
        f"run, the median over the seeds. The paper is: {read_reference()['paper']['source']}. An entry is below the "
        f"paper if its MRR or its Hits@10, rounded to the paper's {DECIMALS} decimals, is less."
    )
    parts = ["# Results", origin, legend]
    for experiment in experiments:
        parts += [f"## {experiment.title}", experiment.caption, f"Command: `emugraph reproduce {experiment.name}`"]
        for table in experiment.tables:
            parts += [f"### {table.title}", *_render_table(table, by_cell)]
    if checks:
        parts += ["## Kills, fuzzing and checkpoints", *map(_check, checks)]
    parts += ["## Published by others", "For scale; larger dimensions and other settings.", _others()]
    return "\n\n".join(parts) + "\n"


def _check(check: Check) -> str:
    rows = [[name, *(str(value) for value in values.values())] for name, values in check.rows.items()]
    columns = ["", *next(iter(check.rows.values()))]
    return f"{check.about}\n\nCommand: `{check.command}`, on {check.machine}\n\n{markdown_table(columns, rows)}"


def _runs(count: int) -> str:
    return "the 1 run" if count == 1 else f"the {count:,} runs"


def _render_table(table: Table, by_cell: dict[RunKey, Result]) -> list[str]:
    """A table's parts: the entries, those below the paper, all metrics, and what they were measured with."""
    if all(cell.settings is None for cell in table.cells):
        return ["There are no presets for it."]
    entries = [[_entry(cells, by_cell) for cells in row.entries] for row in table.rows]
    named = [
        (row.title, column, entry)
        for row, line in zip(table.rows, entries, strict=True)
        for column, entry in zip(table.columns, line, strict=True)
    ]
    measured = [(title, column, entry) for title, column, entry in named if entry.results]
    if not measured:
        return ["Not measured yet."]
    lines = [[row.title, *(_short(entry) for entry in line)] for row, line in zip(table.rows, entries, strict=True)]
    parts = [markdown_table([table.corner, *table.columns], lines)]
    compared = [(title, column, entry) for title, column, entry in measured if entry.paper]
    if compared:
        below = [f"{title} {column}" for title, column, entry in compared if entry.below]
        listed = f": {', '.join(below)}" if below else ""
        parts.append(f"Below the paper are {len(below)} of {len(compared)} entries{listed}.")
    parts += _behind(table, entries)
    parts += [_details(table.corner, measured, compared=bool(compared)), _made_with(entry for *_, entry in measured)]
    return parts


def _behind(table: Table, entries: Sequence[Sequence[Entry]]) -> list[str]:
    """Of the rows that ought to be ahead of another: in how many columns they are, and in which they are not."""
    lines = {row.title: line for row, line in zip(table.rows, entries, strict=True)}
    compared = [
        (f"{title} {column}", ours.mrr >= published.mrr)
        for title, other in table.ahead
        for column, ours, published in zip(table.columns, lines[title], lines[other], strict=True)
        if ours.results and published.results
    ]
    if not compared:
        return []
    behind = [title for title, ahead in compared if not ahead]
    named = f" It is not for: {'; '.join(behind)}." if behind else ""
    count = f"{len(compared) - len(behind)} of {len(compared)}"
    return [f"The MRR with EMU is at least that of plain in {count} pairs.{named}"]


def _entry(cells: Sequence[Cell], by_cell: dict[RunKey, Result]) -> Entry:
    results = tuple(by_cell[cell.key] for cell in cells if cell.key is not None and cell.key in by_cell)
    return Entry(results, published(cells[0]) if cells else None)


def _short(entry: Entry) -> str:
    """An entry of the first table, the paper's metrics under its own."""
    paper = "" if entry.paper is None else f"paper {entry.paper.mrr:.3f} / {entry.paper.hits_at_10:.3f}"
    if not entry.results:
        return f"{DASH}<br>{paper}" if paper else DASH
    spread = "" if entry.deviation is None else f" ± {entry.deviation:.4f}"
    own = f"{entry.mrr:.4f}{spread} / {entry.hits[-1]:.4f}"
    return f"{own}<br>{'**below** ' if entry.below else ''}{paper}" if paper else own


def _details(corner: str, measured: Iterable[tuple[str, str, Entry]], *, compared: bool) -> str:
    header = [corner, "", "MRR", "Hits@1", "Hits@3", "Hits@10", "seeds", "seconds"]
    if compared:
        header += ["MRR - paper's", "Hits@10 - paper's"]
    header.append("settings other than the defaults")
    lines = []
    for title, column, entry in measured:
        line = [title, column, *(f"{metric:.4f}" for metric in (entry.mrr, *entry.hits))]
        line += [str(len(entry.results)), f"{entry.seconds:.0f}"]
        if compared and entry.paper:
            pairs = ((entry.mrr, entry.paper.mrr), (entry.hits[-1], entry.paper.hits_at_10))
            line += [f"{own - published:+.4f}" for own, published in pairs]
        elif compared:
            line += [DASH, DASH]
        lines.append([*line, _changed(entry.results[0])])
    summary = "All metrics, seeds, seconds and settings"
    return f"<details><summary>{summary}</summary>\n\n{markdown_table(header, lines)}\n\n</details>"


def _changed(result: Result) -> str:
    """The settings of a result that are not the defaults, without what the tables tell anyway."""
    told = {"model", "dim", "seed", "valid_every", "valid_sample"}
    fields = {name: field.default for name, field in Settings.model_fields.items() if name not in told}
    values = {name: result.settings[name] for name in fields if result.settings.get(name, fields[name]) != fields[name]}
    return ", ".join(f"{name} {str(value).lower()}" for name, value in values.items())


def _made_with(entries: Iterable[Entry]) -> str:
    made = dict.fromkeys(
        f"emugraph {result.version} on {result.machine}" for entry in entries for result in entry.results
    )
    return f"Measured with {'; '.join(made)}."


def _others() -> str:
    lines = [
        [
            title_of(other["dataset"]),
            title_of(other["model"]),
            other["by"] + (f", d = {other['dim']}" if "dim" in other else ""),
            *(f"{other[name]:.3f}" if name in other else DASH for name in ("mrr", "hits@1", "hits@10")),
        ]
        for other in read_reference()["others"]
    ]
    return markdown_table(["data", "model", "by", "MRR", "Hits@1", "Hits@10"], lines)


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without a line end after its last row."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
