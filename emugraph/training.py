"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emugraph import runs
from emugraph.environment import choose_device
from emugraph.errors import EmugraphError, InputError
from emugraph.evaluation import Evaluator
from emugraph.graph import KnowledgeGraph
from emugraph.losses import power_penalty
from emugraph.models import Model, Side, model_class
from emugraph.objective import build_objective, negative_scores
from emugraph.optimizers import DeferredAdam
from emugraph.presets import PLAIN, Method, find_preset
from emugraph.runs import Run
from emugraph.sampling import named
from emugraph.sampling.configured import build_batches, build_sampler
from emugraph.settings import Settings


class Callback:
    """Looks in on a training run. Override what is of interest; the methods here do nothing."""

    def on_start(self, trainer: Trainer, path: Path) -> None:
        """Before the first step; ``path`` is the run's folder."""

    def on_step(self, trainer: Trainer, loss: Tensor) -> None:
        """After each step. ``loss`` is a scalar tensor; reading it on a GPU waits for the device.

        Call ``trainer.finish()`` before reading embeddings here: rows that the step did not use may be behind.
        """

    def on_validation(self, trainer: Trainer, figures: dict[str, Any], best: bool) -> None:
        """After each validation; ``best`` tells whether its MRR is the highest so far."""

    def on_end(self, run: Run) -> None:
        """After the final figures."""


class Trainer:
    """The state of one training run, and its step.

    Args:
        kg: the graph.
        settings: what to do.
        device: where to do it.
    """

    def __init__(self, kg: KnowledgeGraph, settings: Settings, device: torch.device) -> None:
        self.kg = kg
        self.settings = settings
        self.device = device
        self.step_count = 0
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.device_generator = torch.Generator(device).manual_seed(settings.seed)
        self.model: Model = model_class(settings.model)(
            kg.num_entities,
            kg.num_relations,
            settings.dim,
            init_scale=settings.init_scale,
            reciprocal=settings.reciprocal,
            generator=self.generator,
        ).to(device)
        train = kg.train.to(device)
        self.sampler = build_sampler(kg, settings)
        self.batches = build_batches(train, settings, self.sampler, self.generator)
        self.objective = build_objective(settings)
        self.optimizer = build_optimizer(self.model, settings)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the coming step."""
        settings = self.settings
        rate = settings.learning_rate
        if self.step_count < settings.warmup:
            return rate * (self.step_count + 1) / settings.warmup
        if settings.schedule == "linear":
            rate *= (settings.steps - self.step_count) / max(1, settings.steps - settings.warmup)
        return rate

    def step(self) -> Tensor:
        """One update, of a batch with one side corrupted. Returns the loss, a scalar tensor."""
        epoch = self.batches.epoch
        triples, side = self.batches.next()
        if self.batches.epoch > epoch:
            self.sampler.on_epoch(self.batches.epoch)
        negatives = self.sampler.sample(triples, side, self.device_generator)
        self.sampler.on_step(triples, side, self.score, self.device_generator)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(triples, negatives, side)
        loss.backward()
        self.optimizer.step()
        self.step_count += 1
        return loss.detach()

    def loss(self, triples: Tensor, negatives: Tensor, side: Side) -> Tensor:
        """The loss of a batch (B, 3) against negatives, (K,) shared or (B, K) per positive."""
        model, size = self.model, len(triples)
        known, true = (triples[:, 0], triples[:, 2]) if side == "tail" else (triples[:, 2], triples[:, 0])
        index = None
        if negatives.ndim == 2:
            negatives, index = distinct(negatives, self.kg.num_entities)
        # One look-up for all entities of the step, so that there is one gradient for the table and not three.
        relations, asked = model.directed(triples[:, 1], side)
        rows, relation_rows = self._look_up(torch.cat([known, true, negatives]), relations)
        known_rows, true_rows, negative_rows = rows.split([size, size, len(negatives)])
        query = model.query(known_rows, relation_rows, asked)
        positive = model.score_each(query, true_rows)
        plain, mixed = negative_scores(
            model, query, true_rows, negative_rows, self.settings, self.device_generator, index
        )
        loss = self.objective(positive, mixed, plain)
        if self.settings.regularization:
            if self.settings.penalty == "query":
                penalized = [query, true_rows]
            else:
                penalized = [known_rows, true_rows, *([relation_rows] if model.penalized_relations else [])]
            penalty = sum(power_penalty(rows, self.settings.regularization_power) for rows in penalized)
            loss = loss + self.settings.regularization * penalty
        return loss

    @torch.no_grad()
    def score(self, triples: Tensor, candidates: Tensor, side: Side) -> Tensor:
        """Scores (B, C) of candidates (B, C) in the place of a side of triples (B, 3), with the weights as they are."""
        known = triples[:, 0 if side == "tail" else 2]
        entities, index = distinct(candidates, self.kg.num_entities)
        relations, asked = self.model.directed(triples[:, 1], side)
        rows, relation_rows = self._look_up(torch.cat([known, entities]), relations)
        known_rows, rows = rows.split([len(known), len(entities)])
        return self.model.score_negatives(self.model.query(known_rows, relation_rows, asked), rows, index)

    def _look_up(self, entities: Tensor, relations: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of a step's entities and relations, as they are after all steps so far."""
        model = self.model
        if isinstance(self.optimizer, DeferredAdam):
            self.optimizer.refresh(model.entities, entities)
            self.optimizer.refresh(model.relations, relations)
        return model.entity_rows(entities), model.relation_rows(relations)

    def finish(self) -> None:
        """Bring the model's tables up to date, to be read whole; between steps, rows may wait for their updates."""
        if isinstance(self.optimizer, DeferredAdam):
            self.optimizer.finish()


def distinct(ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The distinct ids among some of 0..count - 1, ascending, and for each of the given ones its place among them.

    As ``torch.unique`` does, without sorting.
    """
    places = torch.zeros(count, dtype=torch.int64, device=ids.device)
    places[ids.flatten()] = 1
    found = places.nonzero()[:, 0]
    places[found] = torch.arange(len(found), device=ids.device)
    return found, places[ids]


def build_optimizer(model: Model, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of the settings, one that touches only the rows that a step uses where that changes no result."""
    if settings.optimizer == "adagrad":
        model.sparse_gradients = True
        torch.sparse.check_sparse_tensor_invariants.disable()  # their default; said aloud, torch does not warn of it
        return torch.optim.Adagrad(model.parameters(), lr=settings.learning_rate)
    if DeferredAdam.serves(model.parameters()):
        model.sparse_gradients = True
        return DeferredAdam(model.parameters(), lr=settings.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)


_FOR_SHARED = ("batch_size", "negatives", "mask_run")


def resolve_settings(
    kg: KnowledgeGraph, model: str, changes: dict[str, Any], *, emu: bool = True
) -> tuple[Settings, bool]:
    """The preset of data set, model and method, if there is one, with changes on top; and whether there was one.

    Negatives that are mixed by the changes are EMU, whatever ``emu`` says. Changes that name a dimension take the
    preset of that dimension, and the other settings of the model's first preset where it has none. Those that name a
    sampler take the preset for it, and the uniform one's where it has none. Where each positive then has negatives of
    its own, the uniform preset's numbers of positives and negatives are left out: they are meant for shared ones.
    """
    name = model_class(model).name
    emu = emu or changes.get("mixing", "none") != "none"
    method: Method = "emu" if emu else "plain"
    asked = kg.name, name, method, changes.get("dim")
    sampler = named.canonical(changes.get("sampler", "uniform"))
    preset = find_preset(*asked, sampler) or find_preset(*asked)
    own = changes.get("sharing") == "per-positive" or bool(changes.get("filtered"))
    if preset and "sampler" not in preset and (own or not named.shares_by_default(sampler)):
        preset = {key: value for key, value in preset.items() if key not in _FOR_SHARED}
    return Settings.create({**({} if emu else PLAIN), **(preset or {}), **changes, "model": name}), bool(preset)


def train(
    kg: KnowledgeGraph,
    model: str = "transe",
    *,
    emu: bool = True,
    output: str | Path | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    callbacks: Iterable[Callback] = (),
    **changes: Any,
) -> Run:
    """Train a model and evaluate its best weights on validation and test.

    Args:
        kg: the graph; its validation triples choose the best weights and may stop the run early.
        model: the score function: transe, transe-l2, distmult, complex or rotate.
        emu: train with embedding mutation and its labels (EMU); otherwise with plain cross entropy.
        output: the run's folder, which must not exist; None for ``runs/DATASET-MODEL-DATE-TIME``.
        settings: complete settings, in place of ``model``, ``emu`` and ``changes``; None for the preset of this data
            set, model and method, or the defaults where there is none.
        device: "auto", "cpu" or "cuda".
        callbacks: see :class:`Callback`.
        changes: settings that differ from the preset or the defaults, by name: see :class:`emugraph.Settings`.

    Returns:
        The run, its model with the best weights, its figures under ``run.figures``. The folder has the same.

    Raises:
        InputError: unknown names, values that do not fit, a folder that exists, or no triples to train on.
    """
    if not isinstance(kg, KnowledgeGraph):
        raise InputError(f"train needs a KnowledgeGraph, not {kg!r:.50}; emugraph.load_dataset(...) gives one")
    if settings is None:
        settings, _ = resolve_settings(kg, model, changes, emu=emu)
    elif changes:
        raise InputError(f"give either complete settings or single ones ({', '.join(changes)}), not both")
    chosen = choose_device(device)
    if not len(kg.train):
        raise InputError(f"{kg.name} has no training triples")
    path = Path(output) if output is not None else runs.default_folder(kg, settings)
    runs.check_new(path)
    with _explain_lack_of_memory():
        trainer = Trainer(kg, settings, chosen)
        runs.create_folder(path, kg, settings, chosen)
        return _Session(trainer, path, tuple(callbacks)).run()


@contextmanager
def _explain_lack_of_memory() -> Iterator[None]:
    """Turn a failed allocation into one sentence with the settings to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lacking = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if lacking or any(words in str(error) for words in ("allocate memory", "Storage size", "size overflow")):
            raise EmugraphError("not enough memory; lower --dim, --negatives, --batch-size or --cache-size") from error
        raise


class _Session:
    """Runs a trainer to its end: validations, the log, best weights, early stopping and the final figures."""

    def __init__(self, trainer: Trainer, path: Path, callbacks: tuple[Callback, ...]) -> None:
        self.trainer = trainer
        self.path = path
        self.callbacks = callbacks
        self.evaluator = Evaluator(trainer.kg, trainer.device)
        self.valid = self._validation_triples()
        self.best: dict[str, Tensor] = {}
        self.best_mrr = -1.0
        self.best_step = 0
        self.since_best = 0
        self.started = time.monotonic()

    def _validation_triples(self) -> Tensor:
        valid, sample = self.trainer.kg.valid, self.trainer.settings.valid_sample
        if sample is None or sample >= len(valid):
            return valid
        generator = torch.Generator().manual_seed(self.trainer.settings.seed)
        return valid[torch.randperm(len(valid), generator=generator)[:sample]]

    def run(self) -> Run:
        for callback in self.callbacks:
            callback.on_start(self.trainer, self.path)
        self._train()
        return self._finish()

    def _train(self) -> None:
        trainer, settings = self.trainer, self.trainer.settings
        total = torch.zeros((), device=trainer.device)
        since = 0
        while trainer.step_count < settings.steps:
            loss = trainer.step()
            total += loss
            since += 1
            for callback in self.callbacks:
                callback.on_step(trainer, loss)
            if trainer.step_count % settings.valid_every and trainer.step_count < settings.steps:
                continue
            if not math.isfinite(total.item()):
                raise EmugraphError(
                    f"the loss is not a number any more at step {trainer.step_count:,}; lower --learning-rate "
                    f"(it is {settings.learning_rate:g}), --init-scale or --regularization. {self._kept()}"
                )
            self._log(type="training", loss=total.item() / since, learning_rate=trainer.learning_rate)
            total.zero_()
            since = 0
            if self._validate():
                break

    def _validate(self) -> bool:
        """Validate, keep the weights if they are the best, and tell whether patience has run out."""
        trainer = self.trainer
        trainer.finish()
        if not len(self.valid):
            self._keep()
            return False
        figures = self.evaluator.evaluate(trainer.model, self.valid)
        better = figures["mrr"] > self.best_mrr
        if better:
            self.best_mrr = figures["mrr"]
            self._keep()
        self.since_best = 0 if better else self.since_best + 1
        self._log(type="validation", best=better, **figures)
        for callback in self.callbacks:
            callback.on_validation(trainer, figures, better)
        return 0 < trainer.settings.patience <= self.since_best

    def _keep(self) -> None:
        """Keep the weights as they are now, in memory and in the run's folder."""
        model = self.trainer.model
        self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.best_step = self.trainer.step_count
        runs.write_weights(self.path, self.best)

    def _kept(self) -> str:
        return f"The weights of step {self.best_step:,} are kept in {self.path}" if self.best else "No weights are kept"

    def _finish(self) -> Run:
        trainer = self.trainer
        trainer.model.load_state_dict(self.best)
        figures: dict[str, Any] = {
            "seconds": round(time.monotonic() - self.started, 1),
            "steps": trainer.step_count,
            "best_step": self.best_step,
        }
        for split in ("valid", "test"):
            if len(trainer.kg.triples(split)):
                figures[split] = self.evaluator.evaluate(trainer.model, split)
        runs.write_json(self.path / "figures.json", figures)
        run = Run(self.path, trainer.kg, trainer.settings, trainer.model, figures)
        for callback in self.callbacks:
            callback.on_end(run)
        return run

    def _log(self, **record: Any) -> None:
        record = {
            "step": self.trainer.step_count,
            "seconds": round(time.monotonic() - self.started, 2),
            **record,
        }
        runs.append_json_line(self.path / "log.jsonl", record)
