from __future__ import annotations

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.report import collect, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(html.parser.HTMLParser):
    """What a page refers to, and whether its elements close."""

    VOID = ("meta", "br", "circle", "path", "use", "rect", "stop", "image")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.images_without_words = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.references += [
            v or "" for name, v in attributes if name in ("src", "href", "xlink:href", "data", "action")
        ]
        self.images_without_words += values.get("role") == "img" and not values.get("aria-label")
        if tag not in self.VOID or tag == "circle":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID or tag == "circle":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def report(run_folder: Path, grid: KnowledgeGraph, tmp_path: Path) -> Path:
    """Of two runs on labels that try to be code."""
    labels = [f"<b onclick=alert(1)>{label}&" for label in grid.entities]
    hostile = KnowledgeGraph(emugraph.Vocabulary(labels), grid.relations, grid.train, grid.valid, grid.test, "<i>grid")
    options = {"dim": 8, "steps": 20, "valid_every": 10, "negatives": 8}
    runs = [
        emugraph.train(hostile, model, output=tmp_path / f"{model} <script>", **options)
        for model in ("distmult", "transe")
    ]
    write_report(runs, tmp_path / "report.html")
    return tmp_path / "report.html"


def test_the_page_is_whole_refers_to_nothing_and_runs_no_label(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(reference.startswith("#") for reference in page.references)
    assert page.images_without_words == 0
    assert "<b onclick" not in text
    assert "&lt;b onclick=alert(1)&gt;0,0&amp;" in text
    assert text.count("<script>") == 1
    assert len(re.findall(r"<circle ", text)) == 60


def test_the_page_has_the_runs_metrics(report: Path, tmp_path: Path) -> None:
    text = report.read_text(encoding="utf-8")
    for model in ("distmult", "transe"):
        run = emugraph.load(tmp_path / f"{model} <script>")
        assert f"{run.metrics['test']['mrr']:.4f}" in text
        assert f"{run.rankings().by('relation')[1]['mrr']:.4f}" in text


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_it_without_errors_and_names_what_is_pointed_at(report: Path, tmp_path: Path) -> None:
    text = report.read_text(encoding="utf-8")
    # As a hand would: a click on the first entity, whose label then stands below the map.
    click = "<script>document.querySelector('.map circle').dispatchEvent(new Event('click', {bubbles: true}))</script>"
    (tmp_path / "clicked.html").write_text(text.replace("</body>", click + "</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "clicked.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr, done.stderr
    shown = re.search(r'<output id="place"[^>]*>(.*?)</output>', done.stdout, re.DOTALL)
    first = re.search(r"<circle [^>]*><title>(.*?)</title>", text)
    assert shown
    assert first
    assert shown[1] == first[1]


def test_examples_are_right_and_wrong(run_folder: Path) -> None:
    run = emugraph.load(run_folder)
    contents = collect([run])
    ranks = run.rankings().ranks
    assert len(contents.right) == min(6, int((ranks == 1).sum()))
    assert {example.rank for example in contents.right} <= {1.0}
    assert all(example.rank > 10 for example in contents.wrong) or not (ranks > 10).any()
    for example in contents.right:
        assert example.answers[0] == (example.true, True)


def test_the_map_has_the_most_frequent_entities_and_says_where_they_stand(run_folder: Path) -> None:
    contents = collect([emugraph.load(run_folder)])
    assert len(contents.map) == 60
    assert {0.0, 1.0} <= {place.x for place in contents.map}
    assert all(0 <= place.y <= 1 for place in contents.map)
    assert contents.map_groups[-1] == "others"
    assert set(contents.map_groups[:-1]) <= {f"{side} of {r}" for side in ("head", "tail") for r in ("right", "down")}


def test_curves_are_those_of_the_log(run_folder: Path) -> None:
    run = emugraph.load(run_folder)
    lines = [json.loads(line) for line in (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    (described,) = collect([run]).runs
    assert described.curve == [(line["step"], line["mrr"]) for line in lines if line["type"] == "validation"]
    assert [step for step, _ in described.losses] == [10, 20]


def test_mistakes(run_folder: Path, family: KnowledgeGraph, tmp_path: Path) -> None:
    other = emugraph.train(family, output=tmp_path / "other", dim=4, steps=2, valid_every=2)
    with pytest.raises(InputError, match="are of different graphs; make a report of each"):
        collect([emugraph.load(run_folder), other])
    with pytest.raises(InputError, match="a report needs a run"):
        collect([])
