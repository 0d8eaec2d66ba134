from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import emugraph
from emugraph import EmugraphError, InputError, KnowledgeGraph, Settings, kernels
from emugraph.losses import cross_entropy
from emugraph.models import MODELS, SIDES
from emugraph.presets import PLAIN
from emugraph.training import Callback, Trainer

SMALL: dict[str, Any] = {
    "dim": 16,
    "batch_size": 32,
    "negatives": 32,
    "steps": 300,
    "valid_every": 100,
    "learning_rate": 0.05,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sharing", ["shared", "per-positive"])
def test_every_model_learns_the_grid(model: str, sharing: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, model, output=tmp_path / "run", sharing=sharing, **SMALL)
    assert run.evaluate("train")["mrr"] > 0.6  # by chance it would be about 0.08


@pytest.mark.parametrize("mixing", ["emu", "none"])
def test_every_entity_as_a_negative(mixing: str, grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, "distmult", output=tmp_path / "run", mixing=mixing, **{**SMALL, "negatives": "all"})
    assert run.evaluate("train")["mrr"] > 0.6
    assert emugraph.load(run.path).settings.negatives == "all"


def test_a_seed_fixes_the_run(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "steps": 40, "valid_every": 20}
    runs = [emugraph.train(grid, "complex", output=tmp_path / str(i), **settings) for i in range(2)]
    other = emugraph.train(grid, "complex", output=tmp_path / "other", seed=1, **settings)
    assert torch.equal(runs[0].model.entities, runs[1].model.entities)
    assert runs[0].figures["test"] == runs[1].figures["test"]
    assert not torch.equal(runs[0].model.entities, other.model.entities)


def test_sides_alternate_and_batches_are_drawn_for_each(grid: KnowledgeGraph) -> None:
    trainer = Trainer(grid, Settings(dim=4, negatives=3), torch.device("cpu"))
    seen: list[str] = []
    sample = trainer.sampler.sample
    trainer.sampler.sample = lambda triples, side, generator: (  # type: ignore[method-assign]
        seen.append(side) or sample(triples, side, generator)  # type: ignore[func-returns-value]
    )
    for _ in range(4):
        trainer.step()
    assert seen == ["tail", "head", "tail", "head"]


def test_shared_and_per_positive_losses_agree_on_the_same_negatives(grid: KnowledgeGraph) -> None:
    for model in MODELS:
        trainer = Trainer(
            grid, Settings(model=model, dim=4, regularization=0.1, mixing="none", beta=0), torch.device("cpu")
        )
        triples, shared = grid.train[:7], torch.tensor([3, 1, 4, 1, 5])
        for side in ("tail", "head"):
            one = trainer.loss(triples, shared, side)
            each = trainer.loss(triples, shared.expand(7, 5), side)
            assert one.item() == pytest.approx(each.item(), rel=1e-5)


def test_reciprocal_relations_are_a_second_row_for_heads(grid: KnowledgeGraph) -> None:
    for model in MODELS:
        trainer = Trainer(grid, Settings(model=model, dim=4, reciprocal=True), torch.device("cpu"))
        for side in SIDES:
            loss = trainer.loss(grid.train, torch.tensor([3, 1, 4]), side)
            gradient = torch.autograd.grad(loss, trainer.model.relations)[0].to_dense()
            forward, inverse = gradient.split(grid.num_relations)
            used, unused = (forward, inverse) if side == "tail" else (inverse, forward)
            assert used.any(dim=1).all()
            assert not unused.any()


def test_a_run_with_reciprocal_relations_opens_again(grid: KnowledgeGraph, tmp_path: Path) -> None:
    run = emugraph.train(grid, "distmult", output=tmp_path / "run", reciprocal=True, **SMALL)
    assert run.evaluate("train")["mrr"] > 0.6
    again = emugraph.load(run.path)
    assert again.model.reciprocal
    assert again.evaluate("test") == run.figures["test"]


def test_loss_by_hand(grid: KnowledgeGraph) -> None:
    trainer = Trainer(grid, Settings(model="distmult", dim=2, **PLAIN), torch.device("cpu"))
    model = trainer.model
    triple, negatives = grid.train[:1], torch.tensor([7, 9])
    h, r, t = triple[0].tolist()
    with torch.no_grad():
        query = model.entities[h] * model.relations[r]
        scores = torch.stack([query @ model.entities[i] for i in (t, 7, 9)])
        expected = -torch.log_softmax(scores, dim=0)[0]
        assert trainer.loss(triple, negatives, "tail").item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("penalty", "power", "expected"),
    [
        # DistMult with h = (1, -2), r = (3, 1), t = (0.5, 2): the query for the tail is (3, -2), for the head (1.5, 2).
        ("embeddings", 3.0, {"tail": 9 + 28 + 8.125, "head": 9 + 28 + 8.125}),
        ("query", 2.0, {"tail": 13 + 4.25, "head": 6.25 + 5}),
    ],
)
def test_what_regularization_penalizes_by_hand(
    penalty: str, power: float, expected: dict[str, float], grid: KnowledgeGraph
) -> None:
    settings = Settings.create({"model": "distmult", "dim": 2, "penalty": penalty, "regularization_power": power})
    without, penalized = (
        Trainer(grid, settings.model_copy(update={"regularization": weight}), torch.device("cpu"))
        for weight in (0.0, 0.5)
    )
    triple = grid.train[:1]
    h, r, t = triple[0].tolist()
    for side in SIDES:
        values = []
        for trainer in (without, penalized):
            with torch.no_grad():
                trainer.model.entities[h], trainer.model.entities[t] = torch.tensor([[1.0, -2.0], [0.5, 2.0]])
                trainer.model.relations[r] = torch.tensor([3.0, 1.0])
            trainer.device_generator.manual_seed(0)
            values.append(trainer.loss(triple, torch.tensor([7, 9]), side).item())
        assert values[1] - values[0] == pytest.approx(0.5 * expected[side], rel=1e-5)


def test_cross_entropy_is_safe_with_large_scores() -> None:
    positive = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = cross_entropy(positive, torch.tensor([[0.0, 1e4], [0.0, 0.0]]))
    assert loss.item() == pytest.approx((0.6931472 + 1e4 + 0.6931472) / 2)
    loss.backward()
    assert torch.isfinite(positive.grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "linear"}, [1.0, 0.75, 0.5, 0.25]),
        ({"schedule": "constant", "warmup": 2}, [0.5, 1.0, 1.0, 1.0]),
        ({"schedule": "linear", "warmup": 2}, [0.5, 1.0, 1.0, 0.5]),
    ],
)
def test_learning_rate_schedule(changes: dict[str, Any], expected: list[float], grid: KnowledgeGraph) -> None:
    trainer = Trainer(grid, Settings(learning_rate=1.0, steps=4, **changes), torch.device("cpu"))
    rates = []
    for step in range(4):
        trainer.step_count = step
        rates.append(trainer.learning_rate)
    assert rates == pytest.approx(expected)


class Recorder(Callback):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.mrr: list[float] = []

    def on_start(self, trainer: Trainer, path: Path) -> None:
        self.calls.append("start")

    def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
        self.calls.append("step")

    def on_validation(self, trainer: Trainer, figures: dict[str, Any], best: bool) -> None:
        self.calls.append("validation")
        self.mrr.append(figures["mrr"])

    def on_end(self, run: emugraph.Run) -> None:
        self.calls.append("end")


def test_callbacks_and_log(grid: KnowledgeGraph, tmp_path: Path) -> None:
    recorder = Recorder()
    settings = {**SMALL, "steps": 5, "valid_every": 2}
    run = emugraph.train(grid, "transe", output=tmp_path / "run", callbacks=[recorder], **settings)
    step, valid = "step", "validation"
    assert recorder.calls == ["start", step, step, valid, step, step, valid, step, valid, "end"]
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(entry["type"], entry["step"]) for entry in log] == [
        ("training", 2), (valid, 2), ("training", 4), (valid, 4), ("training", 5), (valid, 5),
    ]  # fmt: skip
    assert [entry["mrr"] for entry in log if entry["type"] == valid] == recorder.mrr


def test_the_best_weights_are_kept_and_used(grid: KnowledgeGraph, tmp_path: Path) -> None:
    recorder = Recorder()
    # A rate this large makes validation go up and down.
    settings = {**SMALL, "steps": 60, "valid_every": 5, "learning_rate": 0.5, "schedule": "constant", **PLAIN}
    run = emugraph.train(grid, "distmult", output=tmp_path / "run", callbacks=[recorder], **settings)
    best = max(recorder.mrr)
    assert recorder.mrr[-1] < best
    assert run.figures["best_step"] == 5 * (1 + recorder.mrr.index(best))
    assert run.figures["valid"]["mrr"] == best
    assert emugraph.load(run.path).evaluate("valid")["mrr"] == best


def test_patience_stops_early(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "learning_rate": 1e-9, "valid_every": 10, "patience": 2}
    run = emugraph.train(grid, "transe", output=tmp_path / "run", **settings)
    assert (run.figures["best_step"], run.figures["steps"]) == (10, 30)


def test_interruption_keeps_the_best_weights_so_far(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Interrupt(Callback):
        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            if trainer.step_count == 15:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emugraph.train(
            grid, "distmult", output=tmp_path / "run", callbacks=[Interrupt()], **{**SMALL, "valid_every": 10}
        )
    run = emugraph.load(tmp_path / "run")
    entry = json.loads((run.path / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (entry["type"], entry["step"]) == ("validation", 10)
    assert run.evaluate("valid")["mrr"] == entry["mrr"]


def test_without_validation_triples_the_last_weights_are_used(grid: KnowledgeGraph, tmp_path: Path) -> None:
    kg = KnowledgeGraph(grid.entities, grid.relations, grid.train, name="bare")
    run = emugraph.train(kg, "transe", output=tmp_path / "run", **{**SMALL, "steps": 7})
    assert run.figures["best_step"] == 7
    assert "valid" not in run.figures
    assert "test" not in run.figures


def test_refusals_write_nothing(grid: KnowledgeGraph, tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(InputError, match="unknown setting 'dims'. Did you mean 'dim'"):
        emugraph.train(grid, output=path, dims=3)
    with pytest.raises(InputError, match="unknown model"):
        emugraph.train(grid, "transx", output=path)
    with pytest.raises(InputError, match="unknown device 'tpu9'"):
        emugraph.train(grid, output=path, device="tpu9")
    with pytest.raises(InputError, match="has no training triples"):
        emugraph.train(KnowledgeGraph(grid.entities, grid.relations, grid.train[:0]), output=path)
    with pytest.raises(InputError, match="not both"):
        emugraph.train(grid, output=path, settings=Settings(), dim=3)
    assert not path.exists()
    path.mkdir()
    (path / "mine.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="already exists"):
        emugraph.train(grid, output=path)
    assert [p.name for p in path.iterdir()] == ["mine.txt"]


def test_divergence_stops_with_the_step_and_what_to_lower(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "steps": 20, "valid_every": 10, "regularization": 1, "regularization_power": 10}
    with pytest.raises(EmugraphError, match=r"not a number any more at step 10; lower --learning-rate") as caught:
        emugraph.train(grid, "distmult", output=tmp_path / "run", init_scale=1e6, **settings)
    assert "No weights are kept" in str(caught.value)


def test_weights_are_on_disk_from_the_first_validation_on(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Look(Callback):
        def on_validation(self, trainer: Trainer, figures: dict[str, Any], best: bool) -> None:
            kept = load_file(tmp_path / "run" / "weights.safetensors")["entities"]
            assert torch.equal(kept, trainer.model.entities) == best

    emugraph.train(grid, "transe", output=tmp_path / "run", callbacks=[Look()], **{**SMALL, "steps": 40})


def test_no_row_is_behind_at_a_validation(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Look(Callback):
        behind = 0

        def on_step(self, trainer: Trainer, loss: torch.Tensor) -> None:
            before = trainer.model.entities.detach().clone()
            if trainer.step_count == 15:
                trainer.finish()
                self.behind += not torch.equal(trainer.model.entities, before)

        def on_validation(self, trainer: Trainer, figures: dict[str, Any], best: bool) -> None:
            before = trainer.model.entities.detach().clone()
            trainer.finish()
            assert torch.equal(trainer.model.entities, before)

    look = Look()
    settings = {**SMALL, "steps": 40, "valid_every": 10, "batch_size": 4, "negatives": 4}
    emugraph.train(grid, "distmult", output=tmp_path / "run", callbacks=[look], **settings)
    if kernels.compiled():
        assert look.behind  # or nothing would be tested


def test_lack_of_memory_names_what_to_lower(grid: KnowledgeGraph, tmp_path: Path) -> None:
    with pytest.raises(EmugraphError, match="not enough memory; lower --dim"):
        emugraph.train(grid, "distmult", output=tmp_path / "run", dim=2**31 - 1)
    assert not (tmp_path / "run").exists()


def test_train_needs_a_graph() -> None:
    with pytest.raises(InputError, match=r"not 'wn18rr'; emugraph\.load_dataset"):
        emugraph.train("wn18rr")  # type: ignore[arg-type]
