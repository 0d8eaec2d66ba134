"""Pictures of what the other modules measure, with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emugraph.analysis.bars import Bars
from emugraph.analysis.negatives import TITLES
from emugraph.analysis.pca import Clouds
from emugraph.analysis.similarity import Similarities
from emugraph.errors import InputError
from emugraph.io.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#7a5c00", "#444444")
"""Okabe and Ito's palette, which the colour-blind can tell apart too, two of its colours darkened for white paper."""

HATCHES = ("", "//", "..", "xx", "\\\\", "--", "++", "oo")
"""So that bars can be told apart without colours."""

STYLES = ("-", "--", "-.", ":")
SUFFIXES = (".png", ".svg", ".pdf")


def new_figure(width: float = 5.0, height: float = 3.6, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with some axes side by side, which no window shows. Raises InputError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("matplotlib is not installed; pip install 'emugraph[plot]'") from error
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def check_picture(path: Path) -> None:
    """Raise InputError for a path whose name is not that of a picture, or if matplotlib is not installed."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the name of {path} does not say its format; end it in {', '.join(SUFFIXES)}")
    new_figure()


def save(figure: Figure, path: Path) -> None:
    """Write a picture, whole or not at all; its name says the format: .png, .svg or .pdf."""
    check_picture(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)


def draw_similarities(similarities: Similarities) -> Figure:
    """Figure 4: the distribution of cosine similarities for each kind of negatives."""
    figure, (axes,) = new_figure()
    for number, (kind, values) in enumerate(similarities.values.items()):
        axes.hist(
            values.numpy(), bins=80, range=(-1, 1), density=True, histtype="step", linewidth=1.8,
            color=COLORS[number], linestyle=STYLES[number % len(STYLES)], label=TITLES[kind],
        )  # fmt: skip
    axes.set_xlabel("cosine similarity of negative and true tail")
    axes.set_ylabel("density")
    axes.legend(frameon=False)
    return figure


def draw_clouds(clouds: Clouds) -> Figure:
    """Figure 5: the true tails and each kind of negatives, side by side."""
    figure, panels = new_figure(4.6, 4.2, len(clouds.negatives))
    limit = 1.1 * max(float(points.abs().max()) for points in (clouds.tails, *clouds.negatives.values()))
    for axes, (kind, points) in zip(panels, clouds.negatives.items(), strict=True):
        (x, y), (tail_x, tail_y) = points.T.numpy(), clouds.tails.T.numpy()
        axes.scatter(x, y, s=8, color=COLORS[0], alpha=0.5, linewidths=0, label=f"{TITLES[kind]} negatives")
        axes.scatter(tail_x, tail_y, s=22, color=COLORS[3], marker="x", linewidths=1, label="true tails")
        axes.scatter(tail_x[:1], tail_y[:1], s=130, color="black", marker="*", label="the positive's tail")
        measures = clouds.measures[kind]
        axes.set_title(
            f"{TITLES[kind]}: isotropy {measures['isotropy']:.2f}, distance {measures['distance']:.2f}", fontsize=10
        )
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
        axes.set_xlabel("first component")
        axes.set_ylabel("second component")
        axes.legend(frameon=False, fontsize=8)
    return figure


def draw_bars(bars: Bars) -> Figure:
    """Figure 3: MRR per model and series, a panel a data set."""
    figure, panels = new_figure(5.4, 4.0, len(bars.values))
    for axes, (dataset, series) in zip(panels, bars.values.items(), strict=True):
        grouped(axes, series)
        axes.set_title(dataset)
        axes.set_ylabel("test MRR")
    return figure


def grouped(axes: Axes, series: Mapping[str, Mapping[str, float]]) -> None:
    """Bars in groups: for each series the heights by group."""
    groups = list(dict.fromkeys(group for heights in series.values() for group in heights))
    width = 0.8 / len(series)
    for number, (name, heights) in enumerate(series.items()):
        at = [groups.index(group) - 0.4 + (number + 0.5) * width for group in heights]
        axes.bar(
            at, list(heights.values()), width, label=name, edgecolor="white", color=COLORS[number % len(COLORS)],
            hatch=HATCHES[number % len(HATCHES)],
        )  # fmt: skip
    axes.set_xticks(range(len(groups)), groups)
    axes.legend(frameon=False, fontsize=8)


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]], xlabel: str, ylabel: str) -> Figure:
    """Lines through points, one a name."""
    figure, (axes,) = new_figure()
    for number, (name, points) in enumerate(curves.items()):
        style: dict[str, Any] = {"color": COLORS[number % len(COLORS)], "linestyle": STYLES[number % len(STYLES)]}
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name, **style)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False)
    return figure
