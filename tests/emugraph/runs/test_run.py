from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import emugraph
from emugraph import EmugraphError, InputError, KnowledgeGraph
from emugraph.cli.main import app
from emugraph.prediction.calibration import Calibration
from emugraph.runs.callbacks import Callback
from emugraph.runs.contents import read_calibrations, read_graph, write_calibrations, write_graph
from emugraph.runs.folder import RunFolder
from emugraph.runs.run import Run
from emugraph.training.trainer import Trainer


def test_a_run_opened_again_gives_the_same_metrics(run_folder: Path, grid: KnowledgeGraph) -> None:
    run = emugraph.load(run_folder)
    assert run.evaluate("test") == run.metrics["test"]
    assert run.evaluate("valid") == run.metrics["valid"]
    assert run.kg.entities == grid.entities
    assert run.kg.name == "grid"
    assert run.settings.model == "distmult"
    assert run.settings.dim == 8


def test_what_a_folder_holds(run_folder: Path) -> None:
    files = {p.relative_to(run_folder).as_posix() for p in run_folder.rglob("*") if p.is_file()}
    assert files - {".lock"} == {
        "manifest.json", "checkpoints/step-00000020.safetensors",
        "calibration.json", "config.toml", "environment.json", "metrics.json", "log.jsonl", "weights.safetensors",
        "graph/entities.json", "graph/relations.json", "graph/triples.safetensors",
    }  # fmt: skip
    environment = json.loads((run_folder / "environment.json").read_text(encoding="utf-8"))
    assert environment["versions"]["torch"] == torch.__version__
    assert environment["machine"]["device"] == "cpu"


@pytest.fixture
def far_off() -> KnowledgeGraph:
    """Thirty entities; with embeddings of scale 10, validation answers have shares below e^-30 of their queries."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(0, 30, (92, 2), generator=generator).tolist()
    triples = [(f"e{head}", "r", f"e{tail}") for head, tail in ends]
    return KnowledgeGraph.from_triples(triples[:90], triples[90:], name="far-off")


def test_a_run_ends_well_however_small_the_shares_of_its_answers(tmp_path: Path, far_off: KnowledgeGraph) -> None:
    ended: list[Any] = []

    class Look(Callback):
        def on_end(self, run: Any) -> None:
            ended.append(run)

    options: dict[str, Any] = {"dim": 64, "steps": 2, "valid_every": 2, "batch_size": 32, "negatives": 8}
    path = tmp_path / "run"
    run = emugraph.train(far_off, "distmult", output=path, init_scale=10.0, callbacks=[Look()], **options)
    assert ended == [run]
    for opened in (run, emugraph.load(path)):
        answers = opened.predict_tails("e0", "r", k=30) + opened.predict_heads("r", "e0", k=30)
        assert all(0 <= answer.probability <= 1 for answer in answers)


@pytest.mark.parametrize("fitted", [(None, Calibration([0.0], [0.25], 1)), (Calibration([0.0], [0.5], 1), None)])
def test_probabilities_of_one_kind_are_kept(run_folder: Path, fitted: tuple[Any, Any]) -> None:
    folder = RunFolder.open(run_folder)
    with folder.lock():
        write_calibrations(folder, fitted)
    assert read_calibrations(RunFolder.open(run_folder)) == fitted
    assert emugraph.load(run_folder).calibrations == fitted


def test_a_run_without_probabilities_ends_well(
    tmp_path: Path, grid: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emugraph.prediction.trained_model.fit", lambda *arguments: None)
    run = emugraph.train(grid, output=tmp_path / "run", dim=4, steps=2, valid_every=2, negatives=4)
    assert not (run.path / "calibration.json").exists()
    done = CliRunner().invoke(app, ["predict", str(run.path), "--head", "0,0", "--relation", "right", "-k", "2"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["evaluate", str(run.path), "--by", "probability"])
    assert done.exit_code != 0
    assert "no validation triples to fit probabilities on" in done.output


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
    with RunFolder.create(tmp_path / "run") as folder:
        write_graph(folder, kg)
    back = read_graph(RunFolder.open(folder.path), "any")
    assert back.entities == kg.entities
    assert back.relations == kg.relations
    assert back.entity_names == kg.entity_names
    assert torch.equal(back.train, kg.train)


def test_triples_stay_in_their_file_until_they_are_asked_for(run_folder: Path) -> None:
    kg = emugraph.load(run_folder).kg
    whole = load_file(run_folder / "graph" / "triples.safetensors")
    copied = pickle.loads(pickle.dumps(emugraph.load(run_folder).kg))
    for split, triples in whole.items():
        assert split not in vars(kg)
        assert kg.count(split) == len(triples)
        assert torch.equal(torch.cat(list(kg.pieces(split))), triples.long())
        assert kg.contains(triples.long(), split).all()
    assert f"train={len(whole['train'])}" in repr(kg)
    for split, triples in whole.items():
        assert torch.equal(getattr(kg, split), triples.long())
        assert getattr(kg, split) is kg.triples(split)
        assert torch.equal(torch.cat(list(kg.pieces(split))), triples.long())
        assert torch.equal(copied.triples(split), triples.long())
    with pytest.raises(AttributeError, match="a KnowledgeGraph has no 'trian'"):
        kg.trian  # noqa: B018


@pytest.mark.parametrize(
    ("triples", "match"),
    [
        (torch.tensor([[0, 0, 60]]), r"tail id in the valid triples is outside 0\.\.59"),
        (torch.zeros(0, 2, dtype=torch.int32), r"valid triples have shape \(0, 2\)"),
        (torch.zeros(1, 3), "valid is F32"),
    ],
)
def test_triples_that_are_none_are_named(triples: torch.Tensor, match: str, run_folder: Path) -> None:
    name = "graph/triples.safetensors"
    whole = {**load_file(run_folder / name), "valid": triples}
    lie(run_folder, name, lambda path: save_file(whole, path))
    with pytest.raises(EmugraphError, match=f"graph.* is damaged: .*{match}"):
        emugraph.load(run_folder)


def test_folders_that_are_no_runs(tmp_path: Path, run_folder: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        emugraph.load(tmp_path / "nothing")
    (run_folder / "weights.safetensors").unlink()
    with pytest.raises(EmugraphError, match=r"has no weights\.safetensors: .* emugraph resume"):
        emugraph.load(run_folder)


NAMES = ["config.toml", "weights.safetensors", "graph/triples.safetensors", "graph/entities.json", "metrics.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["truncated", "a bit", "longer", "empty"])
def test_a_damaged_file_is_named(run_folder: Path, name: str, damage: str) -> None:
    path = run_folder / name
    content = path.read_bytes()
    damaged = {
        "truncated": content[:-7],
        "a bit": content[:20] + bytes([content[20] ^ 4]) + content[21:],
        "longer": content + b" ",
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(EmugraphError, match=f"{path.name} is damaged or another run's"):
        emugraph.load(run_folder)


@pytest.mark.parametrize("name", [*NAMES, "checkpoints/step-00000020.safetensors"])
def test_a_file_of_another_run_is_named(run_folder: Path, name: str, tmp_path: Path, grid: KnowledgeGraph) -> None:
    kg = KnowledgeGraph.from_triples(grid.to_triples("train")[::-1], grid.to_triples("valid"), grid.to_triples("test"))
    settings = {"dim": 8, "steps": 20, "valid_every": 10, "batch_size": 32, "negatives": 16, "seed": 5}
    other = emugraph.train(kg, "distmult", output=tmp_path / "other", **settings)
    (run_folder / name).write_bytes((other.path / name).read_bytes())
    if "checkpoint" in name or name == "config.toml":
        with pytest.raises(EmugraphError, match=f"{Path(name).name} is damaged or another run's"):
            emugraph.resume(run_folder, steps=30)
    if "checkpoint" not in name:
        with pytest.raises(EmugraphError, match=f"{Path(name).name} is damaged or another run's"):
            emugraph.load(run_folder)


def lie(run_folder: Path, name: str, write: Callable[[Path], None]) -> None:
    """Replace a file, and its checksum in the manifest too."""
    RunFolder.open(run_folder).write(name, write)


def test_weights_of_another_shape_are_refused(run_folder: Path) -> None:
    weights = load_file(run_folder / "weights.safetensors")
    weights["entities"] = weights["entities"][:-1].contiguous()
    lie(run_folder, "weights.safetensors", lambda path: save_file(weights, path))
    with pytest.raises(EmugraphError, match=r"\(59, 8\).*asks for.*\(60, 8\)"):
        emugraph.load(run_folder)


def test_weights_that_are_no_numbers_are_refused(run_folder: Path) -> None:
    weights = load_file(run_folder / "weights.safetensors")
    weights["entities"][0, 0] = float("nan")
    lie(run_folder, "weights.safetensors", lambda path: save_file(weights, path))
    with pytest.raises(EmugraphError, match=r"weights\.safetensors is damaged"):
        emugraph.load(run_folder)


def test_a_configuration_that_asks_for_all_memory(run_folder: Path) -> None:
    """The file is too small for such a model, which shows before any memory is taken."""
    text = (run_folder / "config.toml").read_text(encoding="utf-8").replace("dim = 8", "dim = 2147483647")
    lie(run_folder, "config.toml", lambda path: path.write_text(text, encoding="utf-8") and None)
    with pytest.raises(EmugraphError, match=r"weights\.safetensors holds .*; config\.toml asks for .*2147483647"):
        emugraph.load(run_folder)


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("datset = 'other'", "unknown key 'datset'. Did you mean 'dataset'"),
        ("dim = 200", "unknown key 'dim'"),
        ("dataset = 5", "dataset is 5, and no text"),
        ("init_from = 5", "init_from is 5, and no text"),
    ],
)
def test_a_configuration_with_more_than_a_run_writes(beside: str, message: str, run_folder: Path) -> None:
    text = (run_folder / "config.toml").read_text(encoding="utf-8")
    table = text.index("[")
    kept = [line for line in text[:table].splitlines() if line.split(" ")[0] != beside.split(" ")[0]]
    changed = "\n".join([*kept, beside, text[table:]])
    lie(run_folder, "config.toml", lambda path: path.write_text(changed, encoding="utf-8"))
    with pytest.raises(EmugraphError, match=f"config.toml is damaged: {message}"):
        emugraph.load(run_folder)


def test_weights_that_are_larger_than_the_model(run_folder: Path) -> None:
    huge = {"entities": torch.zeros(1 << 22), "relations": torch.zeros(2, 8)}
    lie(run_folder, "weights.safetensors", lambda path: save_file(huge, path))
    with pytest.raises(EmugraphError, match=r"weights\.safetensors has 16\.8 MB; what config\.toml asks for takes"):
        emugraph.load(run_folder)


@pytest.mark.parametrize("content", ["null", '"abc"', "[1, 2]", '["a", "a"]', '["a"]', "[" * 9999])
def test_vocabularies_that_are_none_are_named(content: str, run_folder: Path) -> None:
    lie(run_folder, "graph/entities.json", lambda path: path.write_text(content, encoding="utf-8") and None)
    with pytest.raises(EmugraphError, match="graph.* is damaged") as caught:
        emugraph.load(run_folder)
    assert caught.value.exit_code == 1


def test_a_later_format_is_refused(run_folder: Path) -> None:
    manifest = run_folder / "manifest.json"
    text = manifest.read_text(encoding="utf-8").replace('"format": 3', '"format": 99')
    manifest.write_text(text, encoding="utf-8")
    with pytest.raises(EmugraphError, match="has format 99; this version reads formats 1 to 3"):
        emugraph.load(run_folder)


# ---------------------------------------------------------------- what earlier versions wrote

OLD_RUNS = sorted((Path(__file__).parents[2] / "data").glob("run-format-*"))


@pytest.mark.parametrize("saved", OLD_RUNS, ids=lambda path: path.name)
def test_runs_of_every_version_are_read(saved: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(saved, tmp_path / "run"))
    run = emugraph.load(path)
    assert set(run.kg.entities) == {"ann", "bob", "cat", "dan", "日本", 'quote " tab \t'}
    assert set(run.kg.relations) == {"parent", "sibling", ""}
    for split in ("valid", "test"):
        assert run.evaluate(split)["mrr"] == pytest.approx(run.metrics[split]["mrr"])


def test_a_run_without_checkpoints_cannot_be_resumed(tmp_path: Path) -> None:
    path = Path(shutil.copytree(OLD_RUNS[0], tmp_path / "run"))
    with pytest.raises(InputError, match="trained by a version without checkpoints"):
        emugraph.resume(path)


@pytest.mark.parametrize("saved", OLD_RUNS[1:], ids=lambda path: path.name)
def test_a_run_with_checkpoints_goes_on_and_has_the_names_of_this_version(saved: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(saved, tmp_path / "run"))
    before = emugraph.load(path).settings
    resumed = emugraph.resume(path, steps=25)
    assert resumed.metrics["steps"] == 25
    assert resumed.settings == before.model_copy(update={"steps": 25})
    assert (path / "metrics.json").is_file()
    assert not (path / "figures.json").exists()
    config = (path / "config.toml").read_text(encoding="utf-8")
    assert "format = 3\n" in config
    assert "mask_group = " in config
    assert "mask_run" not in config
    assert emugraph.load(path).metrics == resumed.metrics


# ---------------------------------------------------------------- files that mean harm

SOURCES = [
    path for folder in ("emugraph", "cli", "datasets") for path in (Path(__file__).parents[3] / folder).rglob("*.py")
]


def test_nothing_that_runs_code_from_a_file_is_used() -> None:
    assert len(SOURCES) > 60
    harmful = re.compile(
        r"\b(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b|\btorch\.(load|save)\b|allow_pickle"
        r"|(?<![.\w])(eval|exec)\(|\bdgl\.(load_graphs|data\.utils)|\byaml\.(load|unsafe_load)\b"
    )
    lines = [(path.name, line) for path in SOURCES for line in path.read_text("utf-8").splitlines()]
    assert [(name, line) for name, line in lines if harmful.search(line)] == []


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("honest", [True, False], ids=["checksums as they were", "checksums of the bombs"])
def test_pickle_bombs_do_not_go_off(run_folder: Path, tmp_path: Path, honest: bool) -> None:
    exploded = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(exploded))
    names = [p.relative_to(run_folder).as_posix() for p in run_folder.rglob("*") if p.is_file() and p.name != ".lock"]
    (run_folder / "metrics.json").unlink()  # so that there is something to resume
    for name in [name for name in names if name not in ("manifest.json", "log.jsonl")]:
        if honest:
            (run_folder / name).write_bytes(bomb)
        else:
            lie(run_folder, name, lambda path: path.write_bytes(bomb) and None)
    (run_folder / "log.jsonl").write_bytes(bomb)
    for action in (emugraph.load, emugraph.resume):
        with pytest.raises(EmugraphError):
            action(run_folder)
    (run_folder / "manifest.json").write_bytes(bomb)
    for action in (emugraph.load, emugraph.resume):
        with pytest.raises(EmugraphError, match=r"manifest\.json is damaged"):
            action(run_folder)
    assert not exploded.exists()
    pickle.loads(bomb)
    assert exploded.exists()  # the bomb was a good one


@pytest.mark.parametrize("name", NAMES)
def test_each_bomb_is_met_by_an_error_that_names_it(run_folder: Path, tmp_path: Path, name: str) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    lie(run_folder, name, lambda path: path.write_bytes(bomb) and None)
    with pytest.raises(EmugraphError, match=re.escape(str(run_folder / name))):
        emugraph.load(run_folder)
    assert not (tmp_path / "exploded").exists()


def test_one_folder_is_read_by_many_while_it_is_trained(tmp_path: Path, grid: KnowledgeGraph) -> None:
    class Read(Callback):
        reads = 0

        def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
            assert isinstance(emugraph.load(tmp_path / "run"), Run)
            self.reads += 1

    read = Read()
    settings = {"dim": 8, "steps": 40, "valid_every": 5, "batch_size": 32, "negatives": 16}
    emugraph.train(grid, output=tmp_path / "run", callbacks=[read], **settings)
    assert read.reads == 8
