from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import emugraph
from emugraph import EmugraphError, InputError, KnowledgeGraph
from emugraph.runs import read_graph, write_graph


def test_a_run_opened_again_gives_the_same_figures(run_folder: Path, grid: KnowledgeGraph) -> None:
    run = emugraph.load(run_folder)
    assert run.evaluate("test") == run.figures["test"]
    assert run.evaluate("valid") == run.figures["valid"]
    assert run.kg.entities == grid.entities
    assert run.kg.name == "grid"
    assert run.settings.model == "distmult"
    assert run.settings.dim == 8


def test_what_a_folder_holds(run_folder: Path) -> None:
    assert {p.relative_to(run_folder).as_posix() for p in run_folder.rglob("*") if p.is_file()} == {
        "config.toml", "environment.json", "figures.json", "log.jsonl", "weights.safetensors",
        "graph/entities.json", "graph/relations.json", "graph/triples.safetensors",
    }  # fmt: skip
    environment = json.loads((run_folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["versions"]["torch"] == torch.__version__
    assert environment["machine"]["device"] == "cpu"


def test_any_label_comes_back_unchanged(tmp_path: Path) -> None:
    labels = [
        "",
        "nan",
        "NULL",
        'quote " tab \t newline \n',
        "\u2028\x85\x00",
        "日本語",
        "e\u0301",
        "x" * 10_000,
    ]
    kg = KnowledgeGraph.from_triples([(label, "r\u2028", "hub") for label in labels])
    kg.entity_names = [None, *labels[1:], "hub's name"]
    write_graph(tmp_path / "graph", kg)
    back = read_graph(tmp_path / "graph", "any")
    assert back.entities == kg.entities
    assert back.relations == kg.relations
    assert back.entity_names == kg.entity_names
    assert torch.equal(back.train, kg.train)


def test_folders_that_are_no_runs(tmp_path: Path, run_folder: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        emugraph.load(tmp_path / "nothing")
    (run_folder / "weights.safetensors").unlink()
    with pytest.raises(EmugraphError, match=r"has no weights\.safetensors"):
        emugraph.load(run_folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "graph/triples.safetensors", "graph/entities.json"])
def test_a_truncated_file_is_named(run_folder: Path, name: str) -> None:
    path = run_folder / name
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(EmugraphError, match=f"{path.name} is damaged"):
        emugraph.load(run_folder)


def test_weights_of_another_shape_are_refused(run_folder: Path) -> None:
    weights = load_file(run_folder / "weights.safetensors")
    save_file({**weights, "entities": weights["entities"][:-1].contiguous()}, run_folder / "weights.safetensors")
    with pytest.raises(EmugraphError, match=r"\(59, 8\).*asks for.*\(60, 8\)"):
        emugraph.load(run_folder)


def test_weights_that_are_no_numbers_are_refused(run_folder: Path) -> None:
    weights = load_file(run_folder / "weights.safetensors")
    weights["entities"][0, 0] = float("nan")
    save_file(weights, run_folder / "weights.safetensors")
    with pytest.raises(EmugraphError, match=r"weights\.safetensors is damaged"):
        emugraph.load(run_folder)


@pytest.mark.parametrize("content", ["null", '"abc"', "[1, 2]", '["a", "a"]', '["a"]'])
def test_vocabularies_that_are_none_are_named(content: str, run_folder: Path) -> None:
    (run_folder / "graph" / "entities.json").write_text(content, encoding="utf-8")
    with pytest.raises(EmugraphError, match="graph.* is damaged") as caught:
        emugraph.load(run_folder)
    assert caught.value.exit_code == 1


def test_a_later_format_is_refused(run_folder: Path) -> None:
    config = run_folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("format = 1", "format = 99"), encoding="utf-8")
    with pytest.raises(EmugraphError, match="has format 99; this version reads format 1"):
        emugraph.load(run_folder)
