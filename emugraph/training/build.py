"""From settings to samplers, batches and optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from emugraph.data.graph import KnowledgeGraph
from emugraph.models import Model
from emugraph.optimizers import Adagrad, DeferredAdam, LazyAdam, RowAdagrad
from emugraph.sampling import registry
from emugraph.sampling.base import NegativeSampler
from emugraph.sampling.batches import AlternatingSides, SidedBatches, SidesByRelation
from emugraph.sampling.khop import KHop
from emugraph.sampling.nscaching import NSCaching
from emugraph.sampling.one_vs_all import OneVsAll
from emugraph.sampling.walk import RandomWalk
from emugraph.training.settings import Settings

_SPARSE: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "lazy-adam": LazyAdam, "adagrad": Adagrad, "row-adagrad": RowAdagrad
}  # fmt: skip


def build_sampler(kg: KnowledgeGraph, settings: Settings) -> NegativeSampler:
    """The sampler of the settings."""
    if settings.negatives == "all":
        return OneVsAll(kg)
    by_relation = None if settings.sides is None else settings.sides == "by-relation"

    def make(kind: type[NegativeSampler], k: int) -> NegativeSampler:
        options: dict[str, Any] = {"k": k, "filtered": settings.filtered, "by_relation": by_relation}
        if issubclass(kind, KHop):
            options["hops"] = settings.hops
        if issubclass(kind, RandomWalk):
            options |= {"walks": settings.walks, "seed": settings.seed}
        if issubclass(kind, NSCaching):
            options |= {
                "cache_size": settings.cache_size,
                "candidates": settings.cache_candidates,
                "update": settings.cache_update,
                "update_every": settings.cache_every,
                "seed": settings.seed,
            }
        return kind(kg, shared=settings.sharing == "shared", **options)

    return registry.build(settings.sampler, settings.negatives, make)


def needed_neighborhoods(settings: Settings) -> list[dict[str, int]]:
    """The arguments of :func:`emugraph.neighbors.neighborhood` for the samplers of the settings."""
    needed = []
    for _, name in registry.parse(settings.sampler):
        if issubclass(registry.SAMPLERS[name], KHop):
            walks = {"walks": settings.walks, "seed": settings.seed} if name == RandomWalk.name else {}
            needed.append({"hops": settings.hops, **walks})
    return needed


def build_batches(
    train: Tensor, settings: Settings, sampler: NegativeSampler, generator: torch.Generator
) -> SidedBatches:
    """The stream of batches, with the side of each chosen as the sampler wants it."""
    if sampler.head_probability is None:
        return AlternatingSides(train, settings.batch_size, generator)
    return SidesByRelation(train, settings.batch_size, generator, sampler.head_probability)


def build_optimizer(model: Model, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of the settings, one that touches only the rows that a step uses where that changes no result."""
    if settings.optimizer != "adam":
        model.sparse_gradients = True
        return _SPARSE[settings.optimizer](model.parameters(), lr=settings.learning_rate)
    if DeferredAdam.serves(model.parameters()):
        model.sparse_gradients = True
        return DeferredAdam(model.parameters(), lr=settings.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
