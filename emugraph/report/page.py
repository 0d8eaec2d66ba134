"""A report as HTML: pictures as SVG inside it, nothing from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from emugraph._version import __version__
from emugraph.analysis import plots
from emugraph.analysis.negatives import TITLES
from emugraph.io.atomic import write_text
from emugraph.report.contents import POSITIVES, RELATIONS, Contents, Described, collect
from emugraph.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(
    runs: Sequence[Run], path: str | Path, *, split: str = "test", advance: Callable[[int], None] | None = None
) -> None:
    """Write a report on runs of one graph: one HTML file, which needs no network.

    Args:
        runs: of one graph; the map, the similarities and the examples are the first's.
        path: the file.
        split: the split that is ranked.
        advance: called with the number of rankings done since the last call; there are 2n for each run.

    Raises:
        InputError: no runs, runs of different graphs, an empty split, or matplotlib is not installed.
        EmugraphError: the file cannot be written.
    """
    plots.new_figure()  # so that a missing library shows before anything is ranked
    write_text(Path(path), render(collect(runs, split=split, advance=advance)))


def render(contents: Contents) -> str:
    """The HTML of a report."""
    loader = jinja2.PackageLoader("emugraph.report", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"setting": _setting, "machine": _machine}
    return environment.get_template("report.html").render(
        contents=contents,
        colors=plots.COLORS,
        titles=TITLES,
        positives=POSITIVES,
        version=__version__,
        differing=_differing(contents.runs),
        curves=_svg(_curves(contents.runs)) if any(run.curve for run in contents.runs) else None,
        losses=_svg(_losses(contents.runs)) if any(run.losses for run in contents.runs) else None,
        bars=_bars(contents.runs),
        similarities=_svg(plots.draw_similarities(contents.similarities)),
    )


def _setting(value: Any) -> str:
    """A setting's value for a reader."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _machine(environment: dict[str, Any]) -> str:
    """Versions and machine in a line."""
    parts = [f"{name} {value}" for name, value in environment.get("versions", {}).items()]
    for name, value in environment.get("machine", {}).items():
        parts.append(f"{value} GiB of memory" if name == "memory_gib" else f"{name} {value}")
    return "; ".join(parts)


def _differing(runs: list[Described]) -> set[str]:
    """The settings in which the runs differ."""
    return {name for name in runs[0].settings if len({str(run.settings.get(name)) for run in runs}) > 1}


def _curves(runs: list[Described]) -> Figure:
    return plots.draw_curves({run.name: run.curve for run in runs if run.curve}, "step", "validation MRR")


def _losses(runs: list[Described]) -> Figure:
    return plots.draw_curves({run.name: run.losses for run in runs if run.losses}, "step", "training loss")


def _bars(runs: list[Described]) -> list[tuple[int, dict[str, Any]]]:
    """The relations that have most triples, and their places among the groups, which are the same for all runs."""
    rows = list(enumerate(runs[0].groups))[1:]
    return sorted(rows, key=lambda row: -row[1]["triples"])[:RELATIONS]


def _svg(figure: Figure) -> Markup:
    """A picture as an element of HTML, whose text stays text."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}), io.StringIO() as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
        text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    opening, rest = text.split(">", 1)
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)  # the page says how wide; the shape stays
    return Markup(f'{opening} aria-hidden="true">{rest}')
