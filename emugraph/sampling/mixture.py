"""Several samplers, each for a share of the negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.models.base import Side
from emugraph.sampling.base import NegativeSampler, Scorer


class Mixture(NegativeSampler):
    """Of a positive's K negatives, each sampler draws its share, rounded so that they add up to K.

    Shared by a batch only where all of the samplers share theirs. Each filters its own share or does not. Where one of
    them chooses the side by the relation, all follow it.

    Args:
        parts: shares, above 0 and in any proportion, and samplers of one graph.
        k: negatives for each positive, K.
        options: ``corrupt``, see :class:`NegativeSampler`.

    Raises:
        InputError: no parts, shares that are not above 0, or samplers of different graphs.
    """

    name = "mixture"

    def __init__(self, parts: Sequence[tuple[float, NegativeSampler]], k: int = 256, **options: Any) -> None:
        if not parts or any(not share > 0 for share, _ in parts):
            raise InputError("a mixture needs samplers with shares above 0")
        samplers = [sampler for _, sampler in parts]
        if any(sampler.kg is not samplers[0].kg for sampler in samplers):
            raise InputError("the samplers of a mixture must be made for one graph")
        super().__init__(samplers[0].kg, k, shared=all(sampler.shared for sampler in samplers), **options)
        self.samplers = samplers
        self.counts = _round(torch.tensor([share for share, _ in parts], dtype=torch.float64), k)
        for sampler, count in zip(samplers, self.counts, strict=True):
            sampler.k = count
        self.needs_relations = any(sampler.needs_relations or sampler.filtered for sampler in samplers)
        chosen = [sampler.head_probability for sampler in samplers if sampler.head_probability is not None]
        self.head_probability = chosen[0] if chosen else None

    def sample_each(self, triples: Tensor, side: Side, generator: torch.Generator | None = None) -> Tensor:
        return torch.cat([s.sample_each(triples, side, generator) for s in self.samplers if s.k], dim=1)

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        return torch.cat([s.draw_shared(triples, side, s.k, generator) for s in self.samplers if s.k])

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        raise InputError("a mixture draws as many negatives as it was made for; use sample")

    def on_epoch(self, epoch: int) -> None:
        for sampler in self.samplers:
            sampler.on_epoch(epoch)

    def on_step(self, triples: Tensor, side: Side, score: Scorer, generator: torch.Generator | None = None) -> None:
        for sampler in self.samplers:
            sampler.on_step(triples, side, score, generator)

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        for sampler in self.samplers:
            sampler.to(device)

    def __repr__(self) -> str:
        return f"Mixture({', '.join(map(repr, self.samplers))})"


def _round(shares: Tensor, k: int) -> list[int]:
    """Whole numbers in proportion to the shares that add up to k: the largest remainders are rounded up."""
    exact = shares / shares.sum() * k
    counts = exact.floor().long()
    largest = (exact - counts).argsort(descending=True, stable=True)
    counts[largest[: k - int(counts.sum())]] += 1
    return counts.tolist()
