from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.neighbors import Neighborhood, compute, neighborhood, neighborhood_files, stored_at
from emugraph.neighbors.neighborhood_files import CANDIDATES, DESCRIPTION, STARTS


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path))


def same(one: Neighborhood, other: Neighborhood) -> bool:
    return torch.equal(one.starts, other.starts) and torch.equal(one.candidates, other.candidates)


@pytest.mark.parametrize("walks", [0, 20])
def test_written_then_read(grid: KnowledgeGraph, walks: int) -> None:
    told: list[str] = []
    counted: list[int] = []
    first = neighborhood(
        grid, 2, walks=walks, on_estimate=lambda expected: told.append(str(expected)), advance=counted.append
    )
    assert sum(counted) == grid.num_entities
    assert len(told) == 1
    assert same(first, compute(grid, 2, walks=walks))
    again = neighborhood(grid, 2, walks=walks, on_estimate=lambda expected: told.append(str(expected)))
    assert len(told) == 1  # nothing was computed
    assert same(first, again)
    assert (again.hops, again.walks, again.seed) == (2, walks, 0)


def test_the_key_is_what_it_is_made_from(grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(kg: KnowledgeGraph = grid, hops: int = 2, walks: int = 0, seed: int = 0) -> str:
        return stored_at(kg, hops, walks=walks, seed=seed).name

    def with_train(train: torch.Tensor, name: str = "grid") -> KnowledgeGraph:
        return KnowledgeGraph(grid.entities, grid.relations, train, name=name)

    renamed = with_train(grid.train, name="another name")
    assert key(renamed) == key()
    assert key(seed=1) == key()  # which decides nothing without walks
    changed = grid.train.clone()
    changed[0, 2] = (changed[0, 2] + 1) % grid.num_entities
    keys = {key(), key(with_train(changed)), key(hops=3), key(walks=5), key(walks=6), key(walks=5, seed=1)}
    assert len(keys) == 6
    monkeypatch.setattr(neighborhood_files, "FORMAT", neighborhood_files.FORMAT + 1)
    assert key() not in keys


@pytest.mark.parametrize("name", [STARTS, CANDIDATES, DESCRIPTION])
@pytest.mark.parametrize("damage", ["flip", "cut", "more", "remove", "empty"])
def test_a_damaged_file_is_computed_anew(grid: KnowledgeGraph, name: str, damage: str) -> None:
    expected = compute(grid, 2)
    neighborhood(grid, 2)
    path = stored_at(grid, 2) / name
    content = path.read_bytes()
    middle = len(content) // 2
    changed = {
        "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut": content[:-4],
        "more": content + b"\0\0\0\0",
        "empty": b"",
        "remove": b"",
    }[damage]
    path.write_bytes(changed)
    if damage == "remove":
        path.unlink()
    assert same(neighborhood(grid, 2), expected)
    assert path.read_bytes() == content or name == neighborhood_files.DESCRIPTION


def test_a_description_of_something_else_is_not_believed(grid: KnowledgeGraph) -> None:
    neighborhood(grid, 2)
    path = stored_at(grid, 2) / neighborhood_files.DESCRIPTION
    described = json.loads(path.read_text(encoding="utf-8"))
    for key, value in (("hops", 3), ("entities", 61), ("candidates", -1), ("candidates", "5"), ("sha256", {})):
        path.write_text(json.dumps({**described, key: value}), encoding="utf-8")
        assert same(neighborhood(grid, 2), compute(grid, 2))


def test_too_much_is_refused_and_leaves_nothing(grid: KnowledgeGraph, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the bound is 1.0 kB. Use random walks"):
        neighborhood(grid, 3, max_memory=1000)
    assert not list(tmp_path.rglob("*.i32"))
    actual = neighborhood(grid, 3)
    with pytest.raises(InputError, match="the bound is 1.0 kB"):  # in the cache it takes as much to use
        neighborhood(grid, 3, max_memory=1000)
    assert same(neighborhood(grid, 3, max_memory=actual.nbytes), actual)


def test_more_than_was_expected_stops_in_time(
    grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighborhood_files.Estimate, "check", lambda expected, bound: None)
    with pytest.raises(InputError, match=r"kB after 60 of 60 entities; the bound is 100 B. Use random walks"):
        neighborhood(grid, 3, max_memory=100)
    assert not list(tmp_path.rglob("*.i32"))


def compute_in_a_process(cache: str, go: multiprocessing.synchronize.Event, kg: KnowledgeGraph) -> None:
    os.environ["EMUGRAPH_CACHE"] = cache
    go.wait()
    assert same(neighborhood(kg, 2), compute(kg, 2))


def test_two_processes_at_once(grid: KnowledgeGraph, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    go = context.Event()
    processes = [
        context.Process(target=compute_in_a_process, args=(str(tmp_path / "both"), go, grid)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    go.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "both" / "neighbors").iterdir())) == 1
