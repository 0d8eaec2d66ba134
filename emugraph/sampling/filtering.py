"""Keeping training triples out of the negatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from emugraph import static_shapes
from emugraph.data.answer_index import AnswerIndex, among
from emugraph.data.graph import KnowledgeGraph
from emugraph.types import SIDES, Side

TRIES = 10
"""How often a negative is drawn again before any entity that makes no training triple takes its place."""

Redraw = Callable[[Tensor], Tensor]
"""For rows of the batch (M,) another negative of each, (M,)."""


class TripleFilter:
    """The training triples, to be recognised among negatives for a whole batch at once.

    Args:
        kg: the graph.
    """

    def __init__(self, kg: KnowledgeGraph) -> None:
        self.num_entities = kg.num_entities
        self.answers = {side: AnswerIndex(kg.train, kg.num_relations, side) for side in SIDES}
        self._pairs: dict[Side, Tensor] = {}
        self._gaps: dict[Side, Tensor] = {}
        self._sieves: dict[Side, Tensor] = {}
        self._index()

    def _index(self) -> None:
        """One ascending number for each known (query, answer), and for each the entities that are unknown before it."""
        for side, known in self.answers.items():
            counts = known.starts.diff()
            slots = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
            place = torch.arange(len(slots), device=counts.device) - known.starts[slots]
            self._pairs[side] = slots * self.num_entities + known.answers
            sieve = torch.zeros(1 << max(10, (16 * len(slots)).bit_length()), dtype=torch.bool, device=counts.device)
            sieve[_places(self._pairs[side], len(sieve))] = True
            self._sieves[side] = sieve
            self._gaps[side] = self._pairs[side] - place

    def to(self, device: torch.device) -> TripleFilter:
        """The same on another device, in place."""
        for known in self.answers.values():
            known.to(device)
        self._index()
        return self

    def find(self, entities: Tensor, triples: Tensor, side: Side) -> tuple[Tensor, Tensor]:
        """Which entities (B, K), in the place of the side of triples (B, 3), make training triples: rows, columns."""
        numbers = self._numbers(entities, triples, side)
        pairs, sieve = self._pairs[side], self._sieves[side]
        # Most are unknown, and most of those fall through the sieve; only what stays in it is looked up.
        rows, columns = sieve[_places(numbers, len(sieve))].nonzero(as_tuple=True)
        numbers = numbers[rows, columns]
        known = pairs[torch.searchsorted(pairs, numbers).clamp_max_(max(0, len(pairs) - 1))] == numbers
        return rows[known], columns[known]

    def contain(self, entities: Tensor, triples: Tensor, side: Side) -> Tensor:
        """The same as a mask, bool (B, K)."""
        if static_shapes.fixed(entities):
            return among(self._pairs[side], self._numbers(entities, triples, side))
        mask = torch.zeros_like(entities, dtype=torch.bool)
        mask[self.find(entities, triples, side)] = True
        return mask

    def _numbers(self, entities: Tensor, triples: Tensor, side: Side) -> Tensor:
        """The numbers (B, K) that known (query, answer) have in the index; no number of it for an unknown query."""
        slot, has_answers = self.answers[side].slots(triples)
        return torch.where(has_answers, slot * self.num_entities, -self.num_entities).unsqueeze(1) + entities

    def replace(
        self, negatives: Tensor, triples: Tensor, side: Side, redraw: Redraw, generator: torch.Generator | None
    ) -> Tensor:
        """Negatives without training triples: what makes one is drawn again a few times, then from all that makes none.

        Only where every entity makes a training triple does one stay.

        Args:
            negatives: entity ids (B, K); changed in place.
            triples: their positives (B, 3).
            side: the side that is corrupted.
            redraw: draws another negative for each of some rows.
            generator: the source of random numbers.
        """
        rows, columns = self.find(negatives, triples, side)
        for _ in range(TRIES):
            if not len(rows):
                return negatives
            again = redraw(rows)
            negatives[rows, columns] = again
            still, _ = self.find(again.unsqueeze(1), triples[rows], side)
            rows, columns = rows[still], columns[still]
        if len(rows):
            negatives[rows, columns] = self.draw_unknown(triples[rows], side, generator)
        return negatives

    def choose(self, drawn: Tensor, triples: Tensor, side: Side, generator: torch.Generator | None) -> Tensor:
        """The same as :meth:`replace`, in fixed shapes: each negative's redraws are there from the start.

        Args:
            drawn: entity ids (B, K, T), for each negative some of which the first that makes no training triple is
                taken.
            triples: their positives (B, 3).
            side: the side that is corrupted.
            generator: the source of random numbers.

        Returns:
            entity ids (B, K).
        """
        size, k, _ = drawn.shape
        known = self.contain(drawn.flatten(1), triples, side).view_as(drawn)
        first = known.to(torch.uint8).argmin(dim=2, keepdim=True)  # the first of the unknown ones, if there is one
        last_resort = self.draw_unknown(triples.repeat_interleave(k, dim=0), side, generator).view(size, k)
        return torch.where(known.all(dim=2), last_resort, drawn.gather(2, first).squeeze(2))

    def draw_unknown(self, triples: Tensor, side: Side, generator: torch.Generator | None) -> Tensor:
        """For each triple an entity that makes no training triple, each with the same probability, (B,); any entity
        where all of them do."""
        known = self.answers[side]
        slot, has_answers = known.slots(triples)
        if not len(known.answers):
            return torch.randint(self.num_entities, (len(triples),), generator=generator, device=triples.device)
        start = known.starts[slot]
        count = torch.where(has_answers, known.starts[slot + 1] - start, 0)
        unknown = self.num_entities - count
        choices = torch.where(unknown > 0, unknown, self.num_entities)
        rank = torch.empty_like(slot).random_(0, 2**32, generator=generator).mul_(choices).bitwise_right_shift_(32)
        # The entity of a rank among the unknown ones: as many known ones lie before it as have no more gaps than it.
        before = torch.searchsorted(self._gaps[side], slot * self.num_entities + rank, right=True) - start
        return torch.where(has_answers & (unknown > 0), rank + before, rank)


def _places(numbers: Tensor, size: int) -> Tensor:
    """Numbers spread over 0..size - 1, a power of two: the highest bits of their product with 2^64 over phi."""
    return (numbers * -7046029254386353131).bitwise_right_shift_(64 - size.bit_length() + 1).bitwise_and_(size - 1)
