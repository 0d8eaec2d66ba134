from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emugraph import EmugraphError, InputError
from emugraph.reproduction.cells import Cell
from emugraph.reproduction.results import Result, append_result, by_run, read_results

MakeCell = Callable[..., Cell]
MakeResult = Callable[..., Result]


@pytest.fixture
def three(small_cell: MakeCell, result_of: MakeResult) -> list[Result]:
    return [result_of(small_cell(seed=seed), machine="ein Läppchen") for seed in range(3)]


@pytest.fixture
def path(tmp_path: Path, three: list[Result]) -> Path:
    path = tmp_path / "new" / "paper.jsonl"
    for result in three:
        append_result(path, result)
    return path


def test_written_then_read(path: Path, three: list[Result], tmp_path: Path) -> None:
    assert read_results(path) == three
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert {
        "dataset", "model", "sampler", "method", "dim", "seed", "steps", "seconds", "mrr", "hits@1", "hits@3",
        "hits@10", "valid_mrr", "version", "machine", "settings",
    } == set(json.loads(lines[0]))  # fmt: skip
    assert read_results(tmp_path / "nothing.jsonl") == []


@settings(deadline=None, max_examples=25)  # each waits for the disk
@given(cut=st.integers(1, 400))
def test_a_half_written_last_line_is_left_out_and_then_replaced(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "paper.jsonl"
    result = Result(
        dataset="grid", model="transe", sampler="uniform", method="emu", dim=4, seed=0, steps=1, seconds=1, mrr=0.5,
        hits_at_1=0.5, hits_at_3=0.5, hits_at_10=0.5, valid_mrr=None, version="0", machine="ö" * 90, settings={},
    )  # fmt: skip
    append_result(path, result)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: -cut - 1])
    assert read_results(path) == [result]
    append_result(path, result)
    assert path.read_bytes() == whole + whole


def test_a_last_line_that_only_lacks_its_end_counts(path: Path, three: list[Result]) -> None:
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_results(path) == three
    append_result(path, three[0])
    assert read_results(path) == [*three, three[0]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Expecting"),
        ("[1]", "it is not a JSON object"),
        ("{}", "dataset: field required"),
        (b"\xff", "invalid start byte"),
        ('{"mrr": NaN}', "dataset: field required"),
    ],
)
def test_another_damaged_line_is_named(line: str | bytes, message: str, path: Path) -> None:
    first, *rest = path.read_bytes().splitlines(keepends=True)
    text = line.encode() if isinstance(line, str) else line
    path.write_bytes(first + text + b"\n" + b"".join(rest))
    with pytest.raises(InputError, match=rf"paper\.jsonl, line 2 is damaged: .*{message}"):
        read_results(path)


def test_figures_that_cannot_be_are_damage(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace('"mrr": 0.25', '"mrr": 25.0'), encoding="utf-8")
    with pytest.raises(InputError, match="line 1 is damaged: mrr: input should be less than or equal to 1"):
        read_results(path)


def test_what_cannot_be_read_or_written(tmp_path: Path, three: list[Result]) -> None:
    with pytest.raises(EmugraphError, match="cannot read"):
        read_results(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EmugraphError, match=r"cannot write .*--results"):
        append_result(tmp_path / "file" / "paper.jsonl", three[0])


def test_results_by_what_was_run(small_cell: MakeCell, result_of: MakeResult) -> None:
    cell = small_cell()
    older, newer, other = result_of(cell, 0.1), result_of(cell, 0.2), result_of(small_cell(seed=1))
    foreign = older.model_copy(update={"settings": {**older.settings, "unheard_of": 1}})
    before = newer.model_copy(update={"settings": {k: v for k, v in newer.settings.items() if k != "labels"}})
    assert by_run([older, other, newer, foreign]) == {cell.key: newer, other.key: other}
    assert foreign.key is None
    assert before.key == cell.key  # a setting that this version added has its default
