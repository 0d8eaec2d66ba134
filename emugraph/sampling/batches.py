"""The order in which positives are visited, and the side of each that is corrupted."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from emugraph._renamed import names_of
from emugraph.io.state_dict import State, ids_below, part_of, under
from emugraph.types import SIDES, Side

_PLACES = torch.int32
"""Of triples in their order, half the memory of 64 bits."""


class SidedBatches(Protocol):
    """An endless stream of batches, all positives of a batch with the same side to corrupt."""

    @property
    def epoch(self) -> int:
        """The epoch of the last batch, counted from 1; 0 before the first."""

    def next(self) -> tuple[Tensor, Side]:
        """The next batch, int64 (B, 3), and its side."""

    def state_dict(self) -> State:
        """What it takes to go on with the next batch, besides the generator's state: tensors and whole numbers."""

    def load_state_dict(self, state: State) -> None:
        """Go on where ``state`` was taken."""


class Batches:
    """An endless stream of batches of triples, shuffled anew each epoch.

    Every batch is full: where an epoch ends inside a batch, the next epoch's first triples fill it, so that shapes
    never change and each triple is visited once an epoch.

    Args:
        triples: int64 (n, 3), n at least 1.
        batch_size: B; no more than n is used.
        generator: the source of the shuffles, on the CPU.
    """

    def __init__(self, triples: Tensor, batch_size: int, generator: torch.Generator) -> None:
        self.triples = triples
        self.batch_size = min(batch_size, len(triples))
        self.generator = generator
        self.epoch = 0
        self._pending = torch.empty(0, dtype=_PLACES, device=triples.device)

    def next(self) -> Tensor:
        """The next batch, int64 (B, 3)."""
        if len(self._pending) < self.batch_size:
            order = torch.randperm(len(self.triples), generator=self.generator, dtype=_PLACES, device="cpu").to(
                self.triples.device
            )
            self._pending = torch.cat([self._pending, order]) if len(self._pending) else order
            self.epoch += 1
        chosen, self._pending = self._pending[: self.batch_size], self._pending[self.batch_size :]
        return self.triples.index_select(0, chosen)

    def state_dict(self) -> State:
        """See :class:`SidedBatches`."""
        return {"epoch": self.epoch, "pending": self._pending}

    def load_state_dict(self, state: State) -> None:
        """See :class:`SidedBatches`."""
        self.epoch = state["epoch"]
        pending = ids_below(len(self.triples), state["pending"], "the batches to come")
        self._pending = pending.to(self.triples.device, _PLACES)


class AlternatingSides:
    """Batches with the tail and the head corrupted alternately; each side visits each triple once an epoch.

    Arguments as for :class:`Batches`.
    """

    def __init__(self, triples: Tensor, batch_size: int, generator: torch.Generator) -> None:
        self._streams = {side: Batches(triples, batch_size, generator) for side in SIDES}
        self._count = 0

    @property
    def epoch(self) -> int:
        return self._streams[SIDES[0]].epoch

    def next(self) -> tuple[Tensor, Side]:
        side = SIDES[self._count % 2]
        self._count += 1
        return self._streams[side].next(), side

    def state_dict(self) -> State:
        state: State = {"count": self._count}
        for side, stream in self._streams.items():
            state |= under(side, stream.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        self._count = state["count"]
        for side, stream in self._streams.items():
            stream.load_state_dict(part_of(state, side))


class SidesByRelation:
    """Batches with the head corrupted with a probability that depends on the relation; each triple once an epoch.

    A side is drawn for every triple anew each epoch. Triples of one side make a batch, the side with more of them
    first; what is left at the end of an epoch waits for the next.

    Args:
        triples: int64 (n, 3), n at least 1.
        batch_size: B; no more than n is used.
        generator: the source of shuffles and sides, on the CPU.
        head_probability: for each relation, (R,).
    """

    def __init__(self, triples: Tensor, batch_size: int, generator: torch.Generator, head_probability: Tensor) -> None:
        self.triples = triples
        self.batch_size = min(batch_size, len(triples))
        self.generator = generator
        self.epoch = 0
        self._chance = head_probability.cpu()[triples[:, 1].cpu()]  # (n,)
        self._pending: dict[Side, Tensor] = {
            side: torch.empty(0, dtype=torch.int64, device=triples.device) for side in SIDES
        }

    def next(self) -> tuple[Tensor, Side]:
        while True:
            side = max(SIDES, key=lambda side: len(self._pending[side]))
            if len(self._pending[side]) >= self.batch_size:
                break
            order = torch.randperm(len(self.triples), generator=self.generator, device="cpu")
            heads = (
                torch.rand(len(order), generator=self.generator, dtype=torch.float32, device="cpu")
                < self._chance[order]
            )
            for other, chosen in (("head", heads), ("tail", ~heads)):
                coming = order[chosen].to(self.triples.device)
                self._pending[other] = torch.cat([self._pending[other], coming])  # type: ignore[index]
            self.epoch += 1
        pending = self._pending[side]
        self._pending[side] = pending[self.batch_size :]
        return self.triples[pending[: self.batch_size]], side

    def state_dict(self) -> State:
        return {"epoch": self.epoch} | {f"{side}.pending": pending for side, pending in self._pending.items()}

    def load_state_dict(self, state: State) -> None:
        self.epoch = state["epoch"]
        for side in SIDES:
            pending = ids_below(len(self.triples), state[f"{side}.pending"], "the batches to come")
            self._pending[side] = pending.to(self.triples.device)


__getattr__ = names_of(__name__)
