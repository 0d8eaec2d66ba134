from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emugraph import InputError
from emugraph.analysis import Bars, Clouds, Similarities
from emugraph.analysis.plots import check_picture, draw_bars, draw_clouds, draw_curves, draw_similarities, save


def texts(axes: object) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[attr-defined]


def test_similarities_are_drawn_one_line_a_kind(tmp_path: Path) -> None:
    values = {"uniform": torch.tensor([0.0, 0.1]), "emu": torch.tensor([0.5, 0.6])}
    figure = draw_similarities(Similarities(values))
    assert texts(figure.axes[0]) == ["uniform", "EMU"]
    for name, start in (("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")):
        save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


def test_clouds_have_a_panel_a_kind_on_one_scale() -> None:
    measures = {kind: {"isotropy": 0.5, "distance": 1.0} for kind in ("uniform", "emu")}
    points = {"uniform": torch.randn(9, 2), "emu": torch.randn(9, 2)}
    figure = draw_clouds(Clouds((0, 0, 1), torch.zeros(2, 2), points, measures))
    assert [axes.get_title() for axes in figure.axes] == [
        "uniform: isotropy 0.50, distance 1.00", "EMU: isotropy 0.50, distance 1.00",
    ]  # fmt: skip
    assert figure.axes[0].get_xlim() == figure.axes[1].get_ylim()


def test_bars_are_as_high_as_their_values() -> None:
    figure = draw_bars(Bars({"A": {"x": {"m": 0.3, "n": 0.2}, "y": {"n": 0.25}}}))
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [0.3, 0.2, 0.25]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["m", "n"]
    assert texts(axes) == ["x", "y"]


def test_curves() -> None:
    figure = draw_curves({"a": [(1, 0.1), (2, 0.2)], "b": [(1, 0.3)]}, "step", "MRR")
    assert [line.get_xydata().tolist() for line in figure.axes[0].lines] == [[[1, 0.1], [2, 0.2]], [[1, 0.3]]]


def test_a_name_that_says_no_format() -> None:
    with pytest.raises(InputError, match=r"end it in \.png, \.svg, \.pdf"):
        check_picture(Path("picture.jpg"))
