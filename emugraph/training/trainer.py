"""A training step, and the state between steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from emugraph import static_shapes
from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import DivergedError
from emugraph.io.mapped_memory import Memory
from emugraph.io.state_dict import State, part_of, same_shape, taken_over, under
from emugraph.losses import power_penalty
from emugraph.models import Model, model_class
from emugraph.optimizers import DeferredAdam, RowAdagrad, TableOptimizer
from emugraph.training.build import build_batches, build_optimizer, build_sampler
from emugraph.training.cuda_graphs import CudaRecorder, Recorder, Recordings
from emugraph.training.objective import build_objective, negative_scores
from emugraph.training.settings import Settings
from emugraph.types import Side


class Trainer:
    """The state of one training run, and its step.

    Args:
        kg: the graph.
        settings: what to do.
        device: where to do it.
        memory: where the tables and the optimizer's state lie on a CPU.
    """

    def __init__(
        self, kg: KnowledgeGraph, settings: Settings, device: torch.device, memory: Memory | None = None
    ) -> None:
        self.memory = memory or Memory()
        self.kg = kg
        self.settings = settings
        self.device = device
        self.step_count = 0
        self.started_from: dict[str, int] | None = None
        """How many entities and relations began with embeddings that existed, if any were given."""
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.device_generator = torch.Generator(device).manual_seed(settings.seed)
        self.model: Model = model_class(settings.model)(
            kg.num_entities,
            kg.num_relations,
            settings.dim,
            init_scale=settings.init_scale,
            reciprocal=settings.reciprocal,
            generator=self.generator,
            empty=self.memory.empty,
        ).to(device)
        train = kg.train.to(device)
        self.sampler = build_sampler(kg, settings)
        self.batches = build_batches(train, settings, self.sampler, self.generator)
        self.objective = build_objective(settings)
        self.optimizer = build_optimizer(self.model, settings)
        if isinstance(self.optimizer, TableOptimizer):
            self.optimizer.memory = self.memory
        self.section: Callable[[str], AbstractContextManager[None]] = _untimed
        """What each part of a step runs in; :class:`emugraph.Profile` puts a clock there."""
        self._unsound = torch.zeros((), dtype=torch.bool, device=device)
        self._rate: Tensor | None = None
        self._recordings: Recordings[tuple[Side, Hashable]] | None = None

    def record(self, recorder: Recorder | None = None) -> None:
        """Make steps by recordings from here on: the same steps up to rounding, started on the device all at once.

        A recording has the tensors of a step where they were; what tells steps apart on the host is the side and the
        sampler's phase, for each of which there is one.

        Args:
            recorder: makes the recordings; None for CUDA graphs.
        """
        self._rate = torch.zeros((), dtype=torch.float32, device=self.device)
        self._recordings = Recordings(
            self._untimed_work, recorder or CudaRecorder(self.device_generator, self.optimizer)
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the coming step."""
        return self.learning_rate_of(self.step_count)

    def learning_rate_of(self, step: int) -> float:
        """The learning rate of a step, of which there are ``step`` before it; 0 where a linear schedule has ended."""
        settings = self.settings
        rate = settings.learning_rate
        if step < settings.warmup:
            return rate * (step + 1) / settings.warmup
        if settings.schedule == "linear":
            rate *= max(0, settings.steps - step) / max(1, settings.steps - settings.warmup)
        return rate

    def step(self) -> Tensor:
        """One update, of a batch with one side corrupted. Returns the loss, a scalar tensor.

        Raises:
            DivergedError: the loss or a gradient is not finite. On a CPU nothing is updated then; on a GPU, where
                looking at a number waits for the device, it is raised up to 100 steps later, and by
                :meth:`check_finite`.
        """
        with self.section("batch"):
            epoch = self.batches.epoch
            triples, side = self.batches.next()
            if self.batches.epoch > epoch:
                self.sampler.on_epoch(self.batches.epoch)
        rate = self.learning_rate if self._rate is None else self._rate.fill_(self.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self._recordings is None:
            loss = self._work(triples, side)
        else:
            with self.section("step"):
                loss = self._recordings(triples, (side, self.sampler.phase))
        if static_shapes.fixed(loss) and self.step_count % 100 == 0:
            self.check_finite()
        self.step_count += 1
        return loss

    def _work(self, triples: Tensor, side: Side) -> Tensor:
        """What a step does with a batch, on the device; returns the loss."""
        with self.section("negatives"):
            negatives = self.sampler.sample(triples, side, self.device_generator)
            self.sampler.on_step(triples, side, self.score, self.device_generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(triples, negatives, side)
        with self.section("backward"):
            loss.backward()
        with self.section("optimizer"):
            self._unsound |= ~_all_finite(loss, self.model.parameters())
            if not static_shapes.fixed(loss):
                self.check_finite()
            self.optimizer.step()
        return loss.detach()

    def _untimed_work(self, triples: Tensor, key: tuple[Side, Hashable]) -> Tensor:
        """The same, to be recorded: in that no clock can wait for the device."""
        section, self.section = self.section, _untimed
        try:
            return self._work(triples, key[0])
        finally:
            self.section = section

    def loss(self, triples: Tensor, negatives: Tensor, side: Side) -> Tensor:
        """The loss of a batch (B, 3) against negatives, (K,) shared or (B, K) per positive."""
        model, size = self.model, len(triples)
        known, true = (triples[:, 0], triples[:, 2]) if side == "tail" else (triples[:, 2], triples[:, 0])
        index = None
        with self.section("look-up"):
            if negatives.ndim == 2:
                negatives, index = self._table_of(negatives)
            # One look-up for all entities of the step, so that there is one gradient for the table and not three.
            relations, query_side = model.directed(triples[:, 1], side)
            rows, relation_rows = self._look_up(torch.cat([known, true, negatives]), relations)
            known_rows, true_rows, negative_rows = rows.split([size, size, len(negatives)])
        with self.section("scores"):
            query = model.query(known_rows, relation_rows, query_side)
            positive = model.score_each(query, true_rows)
            plain, mixed = negative_scores(
                model, query, true_rows, negative_rows, self.settings, self.device_generator, index
            )
        with self.section("loss"):
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
        entities, index = self._table_of(candidates)
        relations, query_side = self.model.directed(triples[:, 1], side)
        rows, relation_rows = self._look_up(torch.cat([known, entities]), relations)
        known_rows, rows = rows.split([len(known), len(entities)])
        return self.model.score_negatives(self.model.query(known_rows, relation_rows, query_side), rows, index)

    def _table_of(self, entities: Tensor) -> tuple[Tensor, Tensor]:
        """Entities (T,) whose embeddings make a table of some entities', and for each of those its row there."""
        if not static_shapes.fixed(entities):
            return distinct(entities, self.kg.num_entities)
        # All of them where that is less; not so where a row that is looked up is a row that moves.
        if self.kg.num_entities <= entities.numel() and not self.model.sparse_gradients:
            return torch.arange(self.kg.num_entities, device=entities.device), entities
        return entities.flatten(), torch.arange(entities.numel(), device=entities.device).view_as(entities)

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

    def check_finite(self) -> None:
        """Raise DivergedError, with the setting that most likely is to blame, if a loss or gradient was not finite."""
        if not self._unsound.item():
            return
        name = "learning_rate" if self.step_count else self._farthest_from_usual()
        raise DivergedError(
            f"the loss or a gradient is not finite at step {self.step_count + 1:,}; most likely {name} is too high "
            f"(it is {getattr(self.settings, name):g}): begin anew with a lower one",
            setting=name,
            step=self.step_count + 1,
        )

    def _farthest_from_usual(self) -> str:
        """The setting, of those that scale the first loss, that is the most times its usual value."""
        settings = self.settings
        scale = self.model.default_init_scale
        times = {
            "init_scale": (settings.init_scale or scale) / scale,
            "regularization": settings.regularization,
            "alpha": settings.alpha,
            "margin": abs(settings.margin) / 10,
            "temperature": settings.temperature,
        }
        return max(times, key=lambda name: times[name])

    def state_dict(self) -> State:
        """All that the coming steps depend on, besides graph and settings. Tensors are not copied."""
        self.finish()
        state: State = {
            "step_count": self.step_count,
            "generator": self.generator.get_state(),
            "device_generator": self.device_generator.get_state(),
        }
        state |= under("model", self.model.state_dict())
        for number, values in self.optimizer.state_dict()["state"].items():
            state |= under(f"optimizer.{number}", values)
        return state | under("batches", self.batches.state_dict()) | under("sampler", self.sampler.state_dict())

    def load_state_dict(self, state: State) -> None:
        """Go on where ``state`` was taken from a trainer of the same graph and settings.

        One of another kind of device has random numbers that this one cannot go on with: then they begin anew, with a
        warning (:func:`restore_generator`).

        Raises:
            ValueError: something in it does not fit this trainer.
        """
        with taken_over():
            self._load(state)

    def _load(self, state: State) -> None:
        step_count = state["step_count"]
        if not isinstance(step_count, int) or not 0 <= step_count < 2**31:
            raise ValueError(f"step_count is {step_count!r:.50}")
        tables = dict(self.model.named_parameters())
        weights = part_of(state, "model")
        for name, table in tables.items():
            if not same_shape(weights[name], table, name).isfinite().all():
                raise ValueError(f"{name} has numbers that are not finite")
        optimizer = {}
        for number, table in enumerate(tables.values()):
            values = part_of(state, f"optimizer.{number}")
            others = {"step": torch.zeros((), dtype=torch.float32, device="cpu")}
            if isinstance(self.optimizer, RowAdagrad):
                others["sum"] = self.optimizer.sum_like(table)
            for name, value in values.items():
                tensor = same_shape(value, others.get(name, table), f"the optimizer's {name}")
                values[name] = self.memory.zeros_like(tensor).copy_(tensor) if tensor.ndim else tensor.clone()
            if values:
                optimizer[number] = values
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(
            {"state": optimizer, "param_groups": self.optimizer.state_dict()["param_groups"]}
        )
        self.generator.set_state(state["generator"].cpu())
        restore_generator(
            self.device_generator, state["device_generator"].cpu(), seed=self.settings.seed, step=step_count
        )
        self.batches.load_state_dict(part_of(state, "batches"))
        self.sampler.load_state_dict(part_of(state, "sampler"))
        self.step_count = step_count
        if self._recordings is not None:
            self._recordings.forget()


_NOTHING: AbstractContextManager[None] = nullcontext()


def _untimed(part: str) -> AbstractContextManager[None]:
    return _NOTHING


def _all_finite(loss: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """Whether the loss and all gradients are finite, a scalar; a sum beyond all floats counts as not."""
    total = loss.detach()
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is not None:
            total = total + (gradient._values() if gradient.is_sparse else gradient).sum()
    return total.isfinite()


_GENERATORS = {5056: ("cpu", "a CPU"), 16: ("cuda", "a CUDA device")}
"""Kinds of devices by the bytes of their generators' states."""


def restore_generator(generator: torch.Generator, state: Tensor, *, seed: int, step: int) -> None:
    """Put a generator into a state; one of another kind of device begins anew from seed and step, with a warning.

    Raises:
        RuntimeError: it is no generator's state.
    """
    device = generator.device
    kind, words = _GENERATORS.get(state.numel() if state.dtype == torch.uint8 else 0, (device.type, ""))
    if kind == device.type:
        generator.set_state(state)
        return
    generator.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1))
    warnings.warn(
        f"the checkpoint's random numbers are those of {words}, and this is {device}: they begin anew from seed {seed} "
        f"and step {step:,}, so that the run is no longer bit for bit what it would have been there",
        stacklevel=2,
    )


_FEW = 32
"""One id in so many: from there on, looking through all of them takes longer than sorting these."""


def distinct(ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The distinct ids among some of 0..count - 1, ascending, and for each of the given ones its place among them.

    As ``torch.unique`` does, without sorting where the ids are not few among all.
    """
    if count > _FEW * ids.numel():
        return torch.unique(ids, return_inverse=True)
    places = torch.zeros(count, dtype=torch.int64, device=ids.device)
    places[ids.flatten()] = 1
    ascending = places.nonzero()[:, 0]
    places[ascending] = torch.arange(len(ascending), device=ids.device)
    return ascending, places[ids]
