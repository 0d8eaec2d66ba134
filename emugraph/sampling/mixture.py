"""Several samplers, each for a share of the negatives."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.io.state_dict import State, part_of, under
from emugraph.sampling.base import Corrupt, NegativeSampler, Scorer
from emugraph.types import Side


class Mixture(NegativeSampler):
    """Of a positive's K negatives, each sampler draws its share, rounded so that they add up to K.

    Shared by a batch only where all of the samplers share theirs. Each filters its own share or does not. Where one of
    them chooses the side by the relation, all follow it.

    Args:
        parts: shares, above 0 and in any proportion, and samplers of one graph.
        k: negatives for each positive, K.
        corrupt: see :class:`NegativeSampler`; None for what the parts do, or both sides where they differ.

    Raises:
        InputError: no parts, a share that is not above 0 or too small for one of K, or samplers of different graphs.
    """

    name = "mixture"

    def __init__(
        self, parts: Sequence[tuple[float, NegativeSampler]], k: int = 256, *, corrupt: Corrupt | None = None
    ) -> None:
        if not parts or any(not 0 < share < math.inf for share, _ in parts):
            raise InputError("a mixture needs samplers with shares above 0")
        samplers = [sampler for _, sampler in parts]
        if any(sampler.kg is not samplers[0].kg for sampler in samplers):
            raise InputError("the samplers of a mixture must be made for one graph")
        requested = {sampler.corrupt for sampler in samplers}
        super().__init__(
            samplers[0].kg,
            k,
            shared=all(sampler.shared for sampler in samplers),
            by_relation=any(sampler.head_probability is not None for sampler in samplers),
            corrupt=corrupt or (requested.pop() if len(requested) == 1 else "both"),
        )
        self.samplers = samplers
        self.shares = [share for share, _ in parts]
        self.needs_relations = any(sampler.needs_relations or sampler.filtered for sampler in samplers)
        if 0 in self.counts(k):
            raise InputError(f"of {k} negatives a share of the mixture would have none; give more, or leave it out")

    def counts(self, k: int) -> list[int]:
        """How many of ``k`` negatives each sampler draws: in proportion, the largest remainders rounded up."""
        exact = [share / sum(self.shares) * k for share in self.shares]
        counts = [math.floor(share) for share in exact]
        largest = sorted(range(len(exact)), key=lambda part: counts[part] - exact[part])
        for part in largest[: k - sum(counts)]:
            counts[part] += 1
        return counts

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        pairs = zip(self.samplers, self.counts(k), strict=True)
        return torch.cat([s.sample_each(triples, side, generator, count) for s, count in pairs], dim=1)

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        pairs = zip(self.samplers, self.counts(k), strict=True)
        return torch.cat([s.draw_shared(triples, side, count, generator) for s, count in pairs])

    @property
    def phase(self) -> Hashable:
        return tuple(sampler.phase for sampler in self.samplers)

    def on_epoch(self, epoch: int) -> None:
        for sampler in self.samplers:
            sampler.on_epoch(epoch)

    def on_step(self, triples: Tensor, side: Side, score: Scorer, generator: torch.Generator | None = None) -> None:
        for sampler in self.samplers:
            sampler.on_step(triples, side, score, generator)

    def state_dict(self) -> State:
        state: State = {}
        for number, sampler in enumerate(self.samplers):
            state |= under(str(number), sampler.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        for number, sampler in enumerate(self.samplers):
            sampler.load_state_dict(part_of(state, str(number)))

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        for sampler in self.samplers:
            sampler.to(device)

    def __repr__(self) -> str:
        return f"Mixture({', '.join(map(repr, self.samplers))})"
