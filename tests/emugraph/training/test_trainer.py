from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import emugraph
from emugraph import DivergedError, EmugraphError, InputError, KnowledgeGraph, Settings, kernels
from emugraph.losses import cross_entropy
from emugraph.models import MODELS
from emugraph.runs.callbacks import Callback
from emugraph.sampling import SAMPLERS, SidesByRelation
from emugraph.training.build import build_sampler
from emugraph.training.presets import PLAIN
from emugraph.training.trainer import Trainer, distinct, restore_generator
from emugraph.types import SIDES

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


@pytest.mark.parametrize("sampler", [*sorted(SAMPLERS), "0.5*khop+0.5*uniform"])
@pytest.mark.parametrize("emu", [True, False])
def test_every_sampler_trains(
    sampler: str, emu: bool, grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hard negatives alone say little of entities far away, so that less is asked of them."""
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))
    settings = {**SMALL, "sampler": sampler, "hops": 3, "walks": 50, "cache_size": 10}
    run = emugraph.train(grid, "distmult", emu=emu, output=tmp_path / "run", **settings)
    assert run.evaluate("train")["mrr"] > 0.3
    assert emugraph.load(run.path).settings.sampler == sampler


def test_sampler_settings_reach_the_sampler(
    grid: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMUGRAPH_CACHE", str(tmp_path / "cache"))

    def made(**values: Any) -> Any:
        return build_sampler(grid, Settings(negatives=7, seed=3, **values))

    khop = made(sampler="khop", hops=4, filtered=False)
    assert (khop.k, khop.near.hops, khop.near.walks, khop.filtered) == (7, 4, 0, False)
    walk = made(sampler="walk", hops=2, walks=9)
    assert (walk.near.hops, walk.near.walks, walk.near.seed, walk.filtered) == (2, 9, 3, True)
    caching = made(sampler="nscaching", cache_size=5, cache_candidates=6, cache_update="top", cache_every=2)
    assert (caching.cache_size, caching.candidates, caching.update, caching.update_every) == (5, 6, "top", 2)
    assert caching.head_probability is not None
    assert made(sampler="nscaching", sides="alternating").head_probability is None
    assert made(sampler="uniform", sides="by-relation").head_probability is not None
    assert made(sampler="uniform", filtered=True).shared is False
    mixture = made(sampler="1*khop + 3*in-batch")
    assert [type(s).name for s in mixture.samplers] == ["khop", "in-batch"]
    assert mixture.counts(mixture.k) == [2, 5]


def test_sides_by_relation_are_as_often_as_their_probability(grid: KnowledgeGraph) -> None:
    trainer = Trainer(grid, Settings(dim=4, negatives=3, sampler="bernoulli", batch_size=20), torch.device("cpu"))
    trainer.sampler.head_probability = None  # that it is the batches that follow it
    assert isinstance(trainer.batches, SidesByRelation)
    sides = [trainer.batches.next()[1] for _ in range(200)]
    assert 60 < sides.count("head") < 140  # both relations of the grid are one to one


def test_caches_are_updated_with_the_weights_as_they_are(grid: KnowledgeGraph) -> None:
    """Rows that no step has used for a while are brought up to date before they are scored."""
    trainer = Trainer(grid, Settings(model="complex", dim=4, negatives=2, batch_size=2), torch.device("cpu"))
    for _ in range(30):
        trainer.step()
    triples, candidates = grid.train[:5], torch.arange(60).expand(5, 60)
    for side in SIDES:
        actual = trainer.score(triples, candidates, side)
        trainer.finish()
        known = triples[:, 0 if side == "tail" else 2]
        expected = trainer.model.score(trainer.model.embed_queries(known, triples[:, 1], side), trainer.model.entities)
        assert torch.allclose(actual, expected, atol=1e-6)
        assert not actual.requires_grad


def test_cached_negatives_score_higher_than_uniform_ones(grid: KnowledgeGraph) -> None:
    settings = Settings(model="distmult", sampler="nscaching", cache_size=10, mixing="none", beta=0, **SMALL)
    trainer = Trainer(grid, settings, torch.device("cpu"))
    for _ in range(200):
        trainer.step()
    triples = grid.train[:40]
    uniform = torch.randint(60, (40, 500), generator=trainer.generator)
    cached = trainer.sampler.sample(triples, "tail", trainer.generator)
    assert trainer.score(triples, cached, "tail").mean() > trainer.score(triples, uniform, "tail").mean()


@given(st.lists(st.integers(0, 9), max_size=30), st.sampled_from([10, 100_000]))
def test_distinct_is_unique(ids: list[int], count: int) -> None:
    given_ids = torch.tensor(ids, dtype=torch.int64)
    actual, places = distinct(given_ids, count)
    expected, inverse = torch.unique(given_ids, return_inverse=True)
    assert torch.equal(actual, expected)
    assert torch.equal(places, inverse)


def test_a_seed_fixes_the_run(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "steps": 40, "valid_every": 20}
    runs = [emugraph.train(grid, "complex", output=tmp_path / str(i), **settings) for i in range(2)]
    other = emugraph.train(grid, "complex", output=tmp_path / "other", seed=1, **settings)
    assert torch.equal(runs[0].model.entities, runs[1].model.entities)
    assert runs[0].metrics["test"] == runs[1].metrics["test"]
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
    assert again.evaluate("test") == run.metrics["test"]


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

    def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
        self.calls.append("validation")
        self.mrr.append(metrics["mrr"])

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
    assert run.metrics["best_step"] == 5 * (1 + recorder.mrr.index(best))
    assert run.metrics["valid"]["mrr"] == best
    assert emugraph.load(run.path).evaluate("valid")["mrr"] == best


def test_patience_stops_early(grid: KnowledgeGraph, tmp_path: Path) -> None:
    settings = {**SMALL, "learning_rate": 1e-9, "valid_every": 10, "patience": 2}
    run = emugraph.train(grid, "transe", output=tmp_path / "run", **settings)
    assert (run.metrics["best_step"], run.metrics["steps"]) == (10, 30)


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
    assert run.metrics["best_step"] == 7
    assert "valid" not in run.metrics
    assert "test" not in run.metrics


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


@pytest.mark.parametrize(
    ("changes", "blamed"),
    [
        ({"init_scale": 1e6, "regularization": 1.0, "regularization_power": 10}, "init_scale"),
        ({"regularization": 1e45}, "regularization"),
        ({"alpha": 1e45}, "alpha"),
        ({"learning_rate": 1e5, "regularization": 1.0, "regularization_power": 10}, "learning_rate"),
    ],
)
def test_divergence_stops_with_the_step_and_what_to_lower(
    changes: dict[str, Any], blamed: str, grid: KnowledgeGraph, tmp_path: Path
) -> None:
    with pytest.raises(DivergedError, match="the loss or a gradient is not finite at step") as caught:
        emugraph.train(grid, "distmult", output=tmp_path / "run", **{**SMALL, "valid_every": 1, **changes})
    assert caught.value.setting == blamed
    assert f"most likely {blamed} is too high (it is " in str(caught.value)
    best = "the best weights so far, of step" if caught.value.step > 1 else "no weights yet"
    assert f"run keeps {best}" in str(caught.value)


def test_weights_stay_finite_where_a_step_is_not(grid: KnowledgeGraph) -> None:
    trainer = Trainer(grid, Settings(model="distmult", dim=4, regularization=1.0), torch.device("cpu"))
    trainer.step()
    trainer.settings = trainer.settings.model_copy(update={"regularization": float("inf")})
    trainer.finish()
    before = trainer.model.entities.detach().clone()
    with pytest.raises(DivergedError):
        trainer.step()
    trainer.finish()
    assert torch.equal(trainer.model.entities, before)
    assert trainer.step_count == 1


def test_weights_are_on_disk_from_the_first_validation_on(grid: KnowledgeGraph, tmp_path: Path) -> None:
    class Look(Callback):
        def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
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

        def on_validation(self, trainer: Trainer, metrics: dict[str, Any], best: bool) -> None:
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


@pytest.mark.parametrize("changes", [{"warmup": 0}, {"warmup": 2}, {"warmup": 3}, {"warmup": 50}])
def test_the_learning_rate_is_never_negative(changes: dict[str, Any], grid: KnowledgeGraph) -> None:
    """A loop of one's own may go on past ``steps``: there the linear schedule has come down to 0 and stays."""
    trainer = Trainer(
        grid, Settings(learning_rate=1.0, steps=3, schedule="linear", dim=4, **changes), torch.device("cpu")
    )
    rates = [trainer.learning_rate_of(step) for step in range(100)]
    assert min(rates) >= 0
    assert max(rates) <= 1
    assert rates[3:] == [0] * 97 or changes["warmup"] > 3
    for _ in range(5):
        trainer.step()
    assert trainer.optimizer.param_groups[0]["lr"] == trainer.learning_rate_of(4)


class Generator:
    """Stands for a generator of a device that need not be here."""

    def __init__(self, device: str, size: int) -> None:
        self.device = torch.device(device)
        self.size = size
        self.seeds: list[int] = []
        self.state: torch.Tensor | None = None

    def manual_seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def set_state(self, state: torch.Tensor) -> None:
        if state.numel() != self.size:
            raise RuntimeError("RNG state is wrong size")
        self.state = state


def state_of(size: int) -> torch.Tensor:
    return torch.arange(size).to(torch.uint8)


@pytest.mark.parametrize(("device", "size", "other"), [("cuda", 16, 5056), ("cuda:1", 16, 5056), ("cpu", 5056, 16)])
def test_random_numbers_of_another_device_begin_anew(device: str, size: int, other: int) -> None:
    generator: Any = Generator(device, size)
    restore_generator(generator, state_of(size), seed=3, step=7)
    assert torch.equal(generator.state, state_of(size))
    assert generator.seeds == []
    for seed, step in ((3, 7), (3, 7), (3, 8), (4, 7)):
        with pytest.warns(UserWarning, match=f"this is {device}.*seed {seed} and step {step}"):
            restore_generator(generator, state_of(other), seed=seed, step=step)
    first, second, *others = generator.seeds
    assert first == second
    assert len({first, *others}) == 3
    assert 3 not in generator.seeds  # it would bring the numbers of the run's beginning
    for unknown in (state_of(17), state_of(0), state_of(other).float()):
        with pytest.raises(RuntimeError, match="wrong size"):
            restore_generator(generator, unknown, seed=3, step=7)
