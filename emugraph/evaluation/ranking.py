"""Filtered ranking: how high a model puts the true answer among all entities.

For each triple the tail is the target and then the head. Every entity is a candidate; other answers that are known to
be true are left out (filtered), unless raw metrics are wanted. Where candidates score exactly as the true answer does,
the rank is the mean of the best and the worst that they allow, so that a model that scores everything alike gets the
rank (N + 1) / 2 and not 1. A score that is not a number never helps (:meth:`Ranks.of_counts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from emugraph._renamed import warn
from emugraph.data.answer_index import AnswerIndex, query_keys
from emugraph.errors import InputError
from emugraph.kernels import count_better
from emugraph.models.base import Model
from emugraph.system import with_matmul_precision
from emugraph.types import SIDES, SPLITS, Side

if TYPE_CHECKING:
    from emugraph.data.graph import KnowledgeGraph

HITS = (1, 3, 10)
SCORE_BYTES = 32 * 2**20
"""The block of scores that is in memory at one time; also the one bound that makes memory independent of N."""

_FEWEST = 64
"""Queries that are scored with all entities at one time. Where there are too many entities for that, a part of them is
scored at a time, since the whole table is read for each block of queries."""

_PART = 8192
"""Entities of such a part at most: larger blocks of scores come from the system anew each time, which takes longer than
to fill them."""


def check_model(model: Model, kg: KnowledgeGraph) -> None:
    """Raise InputError if a model is not of a graph's entities and relations."""
    num_entities, num_relations = len(model.entities), model.num_relations
    if (num_entities, num_relations) != (kg.num_entities, kg.num_relations):
        raise InputError(
            f"the model has {num_entities:,} entities and {num_relations:,} relations, {kg.name} has "
            f"{kg.num_entities:,} and {kg.num_relations:,}; use it with the graph that it was trained on"
        )


@torch.no_grad()
def score_blocks(model: Model, kg: KnowledgeGraph, triples: Tensor, side: Side) -> Iterator[tuple[Tensor, Tensor]]:
    """Scores of all entities in the place of a side of triples, block by block, so that memory is bounded.

    Args:
        model: the score function.
        kg: the graph that it was trained on.
        triples: int64 (n, 3); what stands at the side itself is not looked at.
        side: the target.

    Yields:
        the triples of a block (b, 3) on the model's device, and scores (b, N) that the caller may write to.

    Raises:
        InputError: the triples are not ids of the graph, or the model is of another graph.
    """
    check_model(model, kg)
    triples = kg.checked(triples)
    block = max(1, SCORE_BYTES // (4 * max(1, len(model.entities))))
    for batch in triples.to(model.entities.device).split(block):
        query = model.embed_queries(batch[:, 0 if side == "tail" else 2], batch[:, 1], side)
        yield batch, model.score(query, model.entities)


@dataclass(frozen=True)
class Ranks:
    """Ranks of the true answers of one side, counted from 1."""

    optimistic: Tensor  # (n,) int64: ties broken in the model's favour
    pessimistic: Tensor  # (n,) int64: ties broken against it

    @classmethod
    def of_counts(cls, true: Tensor, greater: Tensor, less: Tensor, candidates: Tensor) -> Ranks:
        """Ranks from how many candidates score higher than the true answer and lower, each of them (n,).

        A score that is not a number is neither, and never helps: a true answer that has one ranks last, and another
        candidate that has one is as if it tied, above the true answer at worst and below it at best.

        Args:
            true: scores of the true answers.
            greater, less: candidates that score strictly higher and lower.
            candidates: all that were not left out, the true answer among them.
        """
        worst = candidates - less
        return cls(torch.where(true.isnan(), worst, 1 + greater), worst)

    @property
    def realistic(self) -> Tensor:
        """The mean of the two, float64 (n,): the expected rank when ties are broken at random."""
        return (self.optimistic + self.pessimistic).double() / 2


class Evaluator:
    """Ranks triples of one graph, for any number of models.

    Args:
        kg: the graph; its train, valid and test triples are the known ones.
        device: no longer needed, and gone with the next release: models are ranked where they are.
    """

    def __init__(self, kg: KnowledgeGraph, device: torch.device | str | None = None) -> None:
        if device is not None:
            warn("Evaluator(kg, device)", "Evaluator(kg)")
        self.kg = kg
        self._known: dict[Side, tuple[Tensor, AnswerIndex]] = {}
        """The triples that were ranked last, and the known answers of their queries."""

    def known(self, triples: Tensor, side: Side, device: torch.device) -> AnswerIndex:
        """The known answers of the queries of some triples, and of no others, on a device; kept for the next time."""
        if side not in self._known or self._known[side][0] is not triples:
            every = chain.from_iterable(map(self.kg.pieces, SPLITS))
            self._known[side] = triples, AnswerIndex.of_queries(triples.cpu(), every, self.kg.num_relations, side)
        return self._known[side][1].to(device)

    @torch.no_grad()
    def ranks(
        self,
        model: Model,
        triples: Tensor,
        side: Side,
        *,
        filtered: bool = True,
        advance: Callable[[int], None] | None = None,
    ) -> Ranks:
        """Rank the true answer of each triple on one side.

        Args:
            model: the score function, on any device.
            triples: int64 (n, 3).
            side: the target.
            filtered: leave out other answers known to be true.
            advance: called with the number of triples done since the last call.

        Raises:
            InputError: the triples are not ids of the graph, or the model is of another graph.
        """
        check_model(model, self.kg)
        checked = self.kg.checked(triples)
        device = model.entities.device
        known = self.known(triples, side, device) if filtered else None
        checked = checked.to(device)
        answers = checked[:, 2 if side == "tail" else 0]
        queries = query_keys(checked, self.kg.num_relations, side)
        num_entities = len(model.entities)
        block = SCORE_BYTES // (4 * max(1, num_entities))
        if block >= _FEWEST:
            part, order = num_entities, torch.argsort(queries, stable=True)  # the same query once, if it can be
        else:  # triples whose answers are in one part of the entities, side by side
            block, part = 4 * _FEWEST, min(_PART, max(1, SCORE_BYTES // (16 * _FEWEST)))
            order = torch.argsort(answers, stable=True)
        parts = model.entities.split(part)
        optimistic, pessimistic = torch.empty_like(answers), torch.empty_like(answers)
        for rows in order.split(block):
            counted = _Counted(model, checked[rows], queries[rows], answers[rows], side, parts, known)
            ranks = Ranks.of_counts(counted.true, counted.greater, counted.less, counted.candidates)
            optimistic[rows], pessimistic[rows] = ranks.optimistic, ranks.pessimistic
            if advance is not None:
                advance(len(rows))
        return Ranks(optimistic.cpu(), pessimistic.cpu())

    def evaluate(
        self,
        model: Model,
        split: str | Tensor = "test",
        *,
        filtered: bool = True,
        ties: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """The metrics of a split, both sides together and each alone.

        Args:
            model: the score function.
            split: "train", "valid" or "test", or triples of your own, int64 (n, 3).
            filtered: leave out other answers known to be true; False gives the raw metrics.
            ties: add ``optimistic`` and ``pessimistic``, the metrics with ties broken for and against the model.
            advance: called with the number of rankings done since the last call; there are 2n.

        Returns:
            ``mrr``, ``mean_rank``, ``hits@1``, ``hits@3``, ``hits@10`` (shares, 0 to 1) over both sides; the same
            under ``head`` and ``tail``; ``triples``, how many were ranked on each side; ``filtered``.

        Raises:
            InputError: there is nothing to rank.
        """
        triples = self.kg.triples(split) if isinstance(split, str) else self.kg.checked(split)
        if not len(triples):
            what = f"the {split} split" if isinstance(split, str) else "the set of triples"
            raise InputError(f"{what} of {self.kg.name} is empty; there is nothing to rank")
        ranks = {s: self.ranks(model, triples, s, filtered=filtered, advance=advance) for s in SIDES}
        metrics: dict[str, Any] = summarize(torch.cat([ranks[s].realistic for s in SIDES]))
        metrics |= {side: summarize(ranks[side].realistic) for side in sorted(SIDES)}
        if ties:
            for policy in ("optimistic", "pessimistic"):
                metrics[policy] = summarize(torch.cat([getattr(ranks[s], policy) for s in SIDES]))
        return metrics | {"triples": len(triples), "filtered": filtered}


class _Counted:
    """How many entities beat the true answers of some triples, and how many they beat.

    Args:
        model: the score function.
        triples: (b, 3).
        queries: their keys (b,), of :func:`query_keys`.
        answers: their true answers (b,).
        side: the target.
        parts: the rows of all entities, in pieces.
        known: what is left out; None for nothing.

    Attributes:
        true: scores of the true answers, (b,).
        greater, less: entities that score higher and lower, (b,).
        candidates: entities that were not left out, (b,).
    """

    def __init__(
        self,
        model: Model,
        triples: Tensor,
        queries: Tensor,
        answers: Tensor,
        side: Side,
        parts: tuple[Tensor, ...],
        known: AnswerIndex | None,
    ) -> None:
        # Each query is scored once, however many triples answer it.
        distinct, of = queries.unique(return_inverse=True)  # (u,), (b,)
        query = model.embed_queries(distinct // model.num_relations, distinct % model.num_relations, side)
        size = len(parts[0])
        # Taken from the same products as their rivals' scores, so that rounding cannot make or break a tie.
        self.true = query.new_empty(len(triples))
        scores = query.new_empty(0)
        for part in (answers // size).unique().tolist():
            scores = model.score(query, parts[part])  # (u, part)
            members = (answers // size == part).nonzero()[:, 0]
            self.true[members] = scores[of[members], answers[members] - part * size]
        self.greater, self.less = torch.zeros_like(answers), torch.zeros_like(answers)
        self.candidates = torch.full_like(answers, sum(map(len, parts)))
        rows, others = known.of(triples) if known is not None else (answers[:0], answers[:0])
        # The true answer is among the known ones; it neither beats itself nor is beaten.
        self._take_away(self.candidates, rows, others != answers[rows])
        for number, part in enumerate(parts):
            if len(parts) > 1:
                scores = model.score(query, part)
            greater, less = count_better(scores, self.true, of)
            self.greater += greater
            self.less += less
            here = rows, others
            if len(parts) > 1:
                inside = others // size == number
                here = rows[inside], others[inside] - number * size
            known_scores, own = scores[of[here[0]], here[1]], self.true[here[0]]
            self._take_away(self.greater, here[0], known_scores > own)
            self._take_away(self.less, here[0], known_scores < own)

    @staticmethod
    def _take_away(count: Tensor, rows: Tensor, left_out: Tensor) -> None:
        count.sub_(torch.zeros_like(count).index_add_(0, rows, left_out.long()))


def evaluate(
    model: Model,
    kg: KnowledgeGraph,
    split: str | Tensor = "test",
    *,
    filtered: bool = True,
    ties: bool = False,
    matmul_precision: str | None = None,
) -> dict[str, Any]:
    """Rank a split with a model on the device where it is; see :meth:`Evaluator.evaluate`.

    Args:
        model, kg, split, filtered, ties: see there.
        matmul_precision: "highest", "high" or "medium", while this ranks; None for what PyTorch is set to. See
            :func:`emugraph.system.with_matmul_precision`.
    """
    with with_matmul_precision(matmul_precision):
        return Evaluator(kg).evaluate(model, split, filtered=filtered, ties=ties)


def summarize(ranks: Tensor) -> dict[str, float]:
    """MRR, mean rank and Hits@k of ranks (n,)."""
    ranks = ranks.double()
    metrics = {"mrr": ranks.reciprocal().mean().item(), "mean_rank": ranks.mean().item()}
    return metrics | {f"hits@{k}": (ranks <= k).double().mean().item() for k in HITS}
