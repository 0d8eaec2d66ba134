"""Answers: the entities or relations that a model puts in a triple's empty place, best first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from emugraph._renamed import keyword
from emugraph.data.answer_index import AnswerIndex
from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError
from emugraph.evaluation.ranking import SCORE_BYTES, Ranks, score_blocks
from emugraph.models.base import Model
from emugraph.types import COLUMN, SPLITS, Part, Side

_INDEXED_WHOLE = 1 << 22
"""Triples of a split up to which all its answers are indexed once; beyond, the index would take a gigabyte and more."""

LookUp = Callable[[Tensor], tuple[Tensor, Tensor]]

_ROWS_BYTES = 2**21
"""Scores that are worked on at one time, few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Answers:
    """The best answers of n queries, best first; where fewer than k are left, -1 stands at the end of a row. What has
    a score that is not a number is no answer.

    Args:
        ids: entities or relations, int64 (n, k); equal scores are in the order of the ids.
        scores: float32 (n, k).
        shares: log of each one's share among the query's candidates, float32 (n, k); see :class:`Predictor`.
        known: in which split the triple stands, uint8 (n, k): 1 train, 2 valid, 3 test, 0 for a new one.
    """

    ids: Tensor
    scores: Tensor
    shares: Tensor
    known: Tensor


@dataclass(frozen=True)
class Block:
    """Scores of some queries with all candidates.

    Args:
        queries: triples (b, 3).
        scores: (b, C), -inf for answers that training has.
        totals: log of the sum of the exponentials of scores, over what shares are taken of, (b,).
        rows: (M,) and
        columns: (M,), where the answers stand that training has.
        trained: their scores, (M,).
    """

    queries: Tensor
    scores: Tensor
    totals: Tensor
    rows: Tensor
    columns: Tensor
    trained: Tensor


class Predictor:
    """Finds the best answers of one model on one graph.

    A candidate's share is the softmax of its score among all candidates; where entities are the target, among those
    that do not stand in the training triples as answers of the same query. (Many entities answer a query, so that the
    known ones would take all; two entities mostly have one relation.) It is what probabilities are made from
    (:mod:`emugraph.prediction.calibration`).

    Args:
        model: the score function.
        kg: the graph that it was trained on.
    """

    def __init__(self, model: Model, kg: KnowledgeGraph) -> None:
        self.model = model
        self.kg = kg
        self._indexes: dict[tuple[str, Part], AnswerIndex] = {}

    def known(self, split: str, part: Part, queries: Tensor) -> LookUp:
        """The answers that a split has to queries for a part.

        Args:
            split: "train", "valid" or "test".
            part: the target.
            queries: triples, int64 (n, 3), all that will be looked up. Where the split is large, the index is of
                these alone, and else it is of all and kept.

        Returns:
            what gives, for some of the queries (b, 3), rows and answers, each (M,).
        """
        size = self.kg.num_relations
        side: Side = "tail"
        in_order: Callable[[Tensor], Tensor] = _as_they_are
        if part == "relation":  # (head, tail) is the query, as (head, relation) is where a tail is the target
            in_order, size = _relations_last, self.kg.num_entities
        else:
            side = part
        if self.kg.count(split) > _INDEXED_WHOLE:
            pieces = map(in_order, self.kg.pieces(split))
            index = AnswerIndex.of_queries(in_order(queries).cpu(), pieces, size, side)
            index.to(self.model.entities.device)
        else:
            if (split, part) not in self._indexes:
                self._indexes[split, part] = AnswerIndex(in_order(self.kg.triples(split)), size, side)
            index = self._indexes[split, part].to(self.model.entities.device)
        return lambda some: index.of(in_order(some))

    @torch.no_grad()
    def blocks(self, queries: Tensor, part: Part) -> Iterator[Block]:
        """Scores of all candidates, some queries at a time.

        Args:
            queries: triples, int64 (n, 3); what stands at the target is not read.
            part: the target.

        Raises:
            InputError: they are not ids of the graph, or the model is of another graph.
        """
        queries = self.kg.checked(queries)
        if part == "relation":
            scored = _relation_blocks(self.model, self.kg, queries)
        else:
            scored = score_blocks(self.model, self.kg, queries, part)
        known = self.known("train", part, queries)
        for batch, scores in scored:
            rows, columns = known(batch)
            trained = scores[rows, columns]
            totals = _log_sums(scores) if part == "relation" else None
            scores[rows, columns] = -torch.inf
            yield Block(batch, scores, _log_sums(scores) if totals is None else totals, rows, columns, trained)

    @keyword("questions", "queries")
    def answer(
        self,
        queries: Tensor,
        part: Part,
        k: int = 10,
        *,
        without: Collection[str] = (),
        advance: Callable[[int], None] | None = None,
    ) -> Answers:
        """The k best answers of each query.

        Args:
            queries: triples, int64 (n, 3); what stands at the target is not read.
            part: the target.
            k: how many answers; all where there are fewer.
            without: splits whose answers are left out.
            advance: called with the number of queries done since the last call.

        Raises:
            InputError: see :meth:`blocks`; an unknown split; k below 1.
        """
        without = check_splits(without)
        if not isinstance(k, int) or k < 1:
            raise InputError(f"{k!r} answers were asked for; at least one is needed")
        k = min(k, self.kg.num_relations if part == "relation" else self.kg.num_entities)
        queries = self.kg.checked(queries)
        known = {split: self.known(split, part, queries) for split in without}
        blocks_best: list[tuple[Tensor, Tensor, Tensor]] = []
        for block in self.blocks(queries, part):
            scores = block.scores
            if "train" not in without:
                scores[block.rows, block.columns] = block.trained
            for split in without:
                if split != "train":
                    scores[known[split](block.queries)] = -torch.inf
            top, ids = scores.topk(k, dim=1)
            if top[:, 0].isnan().any():  # they would be the best
                top, ids = scores.nan_to_num_(-torch.inf, torch.inf, -torch.inf).topk(k, dim=1)
            ids[top == -torch.inf] = -1
            # Equal scores in the order of ids: by ids first, then stable by score.
            order = torch.argsort(ids, dim=1)
            order = order.gather(1, torch.argsort(top.gather(1, order), dim=1, descending=True, stable=True))
            top = top.gather(1, order)
            blocks_best.append((ids.gather(1, order).cpu(), top.cpu(), (top - block.totals[:, None]).cpu()))
            if advance is not None:
                advance(len(ids))
        if not blocks_best:
            nothing = torch.empty(0, k, dtype=torch.float32, device="cpu")
            return Answers(nothing.long(), nothing, nothing, nothing.byte())
        ids, top, shares = (torch.cat(parts) for parts in zip(*blocks_best, strict=True))
        return Answers(ids, top, shares, self._mark(queries, part, ids))

    def relation_ranks(self, triples: Tensor, *, advance: Callable[[int], None] | None = None) -> Ranks:
        """Rank the relation of each triple among all relations, others that are known between head and tail left out.

        Args:
            triples: int64 (n, 3).
            advance: called with the number of triples done since the last call.

        Raises:
            InputError: see :meth:`blocks`.
        """
        triples = self.kg.checked(triples)
        known = [self.known(split, "relation", triples) for split in SPLITS]
        ranks = []
        for block in self.blocks(triples, "relation"):
            scores, own = block.scores, block.queries[:, 1:2]
            scores[block.rows, block.columns] = block.trained
            candidates = torch.ones_like(scores, dtype=torch.bool)
            for answers_of in known:
                candidates[answers_of(block.queries)] = False
            candidates.scatter_(1, own, True)
            true = scores.gather(1, own)
            greater, less = ((beats & candidates).sum(1) for beats in (scores > true, scores < true))
            ranks.append(Ranks.of_counts(true[:, 0], greater, less, candidates.sum(1)))
            if advance is not None:
                advance(len(scores))
        policies = ([part.optimistic for part in ranks], [part.pessimistic for part in ranks])
        return Ranks(*(torch.cat([triples[:0, 0], *(part.cpu() for part in parts)]) for parts in policies))

    def _mark(self, queries: Tensor, part: Part, ids: Tensor) -> Tensor:
        """In which split each answer stands, uint8 (n, k); the first where it is several."""
        triples = self.kg.checked(queries).cpu().repeat_interleave(ids.shape[1], dim=0)
        triples[:, COLUMN[part]] = ids.flatten().clamp_min(0)
        marks = torch.zeros(len(triples), dtype=torch.uint8, device="cpu")
        for place in range(len(SPLITS), 0, -1):
            marks[self.kg.contains(triples, SPLITS[place - 1])] = place
        return marks.view_as(ids).masked_fill(ids < 0, 0)


def check_splits(splits: Collection[str]) -> tuple[str, ...]:
    """Names of splits, each once. Raises InputError for an unknown one."""
    if isinstance(splits, str):
        splits = (splits,)
    for split in splits:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return tuple(dict.fromkeys(splits))


def _as_they_are(triples: Tensor) -> Tensor:
    return triples


def _relations_last(triples: Tensor) -> Tensor:
    return triples[:, [0, 2, 1]]


def _relation_blocks(model: Model, kg: KnowledgeGraph, triples: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """As :func:`score_blocks`, scores (b, R) of all relations between heads and tails."""
    triples = kg.checked(triples).to(model.entities.device)
    relations = model.relation_rows(torch.arange(kg.num_relations, device=triples.device))
    for batch in triples.split(max(1, SCORE_BYTES // (16 * max(1, relations.shape[0]) * model.entity_width))):
        heads, tails = (model.entity_rows(batch[:, column]).unsqueeze(1) for column in (0, 2))
        query = model.query(heads.expand(-1, len(relations), -1), relations.expand(len(batch), -1, -1), "tail")
        yield batch, model.link(model.components(query, tails).sum(-1))


def _log_sums(scores: Tensor) -> Tensor:
    """logsumexp of each row, (b,), a few rows at a time."""
    rows = max(1, _ROWS_BYTES // (4 * max(1, scores.shape[1])))
    return torch.cat([part.logsumexp(1) for part in scores.split(rows)])
