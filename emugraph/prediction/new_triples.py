"""The most plausible triples that a graph does not have, out of all that there could be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.prediction.top_k import Predictor
from emugraph.types import SPLITS


@dataclass(frozen=True)
class NewTriples:
    """Triples that stand in no split, the most plausible first.

    Args:
        triples: int64 (n, 3).
        scores: the model's scores, float32 (n,).
        tail_shares: log share of the tail among the candidates for head and relation, float32 (n,).
        head_shares: log share of the head among the candidates for relation and tail, float32 (n,).
    """

    triples: Tensor
    scores: Tensor
    tail_shares: Tensor
    head_shares: Tensor


@torch.no_grad()
def find_triples(
    predictor: Predictor, relations: Sequence[int], top: int, *, advance: Callable[[int], None] | None = None
) -> NewTriples:
    """The ``top`` most plausible new triples of some relations, out of all N x N pairs of each, exactly.

    A triple is as plausible as its two answers together: the log share of its tail among the candidates for its head
    and relation, plus that of its head among the candidates for its relation and tail (:class:`Predictor`). Either
    alone would praise what has no rivals, such as the least unlikely birthplace of a city. A triple whose head is its
    tail is left out where the relation has none such in training. Equal sums are in the order of the ids.

    Scores are made in blocks, so that memory does not grow with N x N; time does: three to four matrix products.

    Args:
        predictor: of the model.
        relations: ids.
        top: how many triples.
        advance: called with the number of heads done since the last call; there are 2N for each relation.

    Raises:
        InputError: ``top`` is below 1.
    """
    if top < 1:
        raise InputError(f"{top} triples were asked for; at least one is needed")
    kg, device = predictor.kg, predictor.model.entities.device
    loops = kg.train[kg.train[:, 0] == kg.train[:, 2], 1].unique().tolist()
    best = _Best(top, device)
    for relation in relations:
        every = torch.zeros(kg.num_entities, 3, dtype=torch.int64, device="cpu")
        every[:, 0] = every[:, 2] = torch.arange(kg.num_entities, device="cpu")
        every[:, 1] = relation
        known = [predictor.known(split, "tail", every) for split in SPLITS[1:]]
        head_totals = []
        for block in predictor.blocks(every, "head"):
            head_totals.append(block.totals)
            _advance(advance, len(block.queries))
        of_tail = torch.cat(head_totals)  # (N,), of the query for each tail's heads
        for block in predictor.blocks(every, "tail"):
            heads = block.queries[:, 0]
            as_head = _head_scores(predictor, block.queries, block.scores)
            sums = (block.scores - block.totals[:, None]).add_(as_head).sub_(of_tail)  # (b, N)
            for answers_of in known:
                sums[answers_of(block.queries)] = -torch.inf
            if relation not in loops:
                sums[torch.arange(len(heads), device=device), heads] = -torch.inf
            sums[block.totals == -torch.inf] = -torch.inf  # all are known
            sums[:, of_tail == -torch.inf] = -torch.inf
            row, tail = best.places(sums)
            score = block.scores[row, tail]
            tail_share, head_share = score - block.totals[row], as_head[row, tail] - of_tail[tail]
            ids = torch.stack([heads[row], torch.full_like(row, relation), tail], dim=1)
            best.add(sums[row, tail], ids, torch.stack([score, tail_share, head_share], dim=1))
            _advance(advance, len(heads))
    return best.result()


def _head_scores(predictor: Predictor, queries: Tensor, scores: Tensor) -> Tensor:
    """Scores of each query's head as an answer for relation and tail, (b, N): all tails."""
    model = predictor.model
    if not model.reciprocal:
        return scores
    relations = queries[:1, 1].expand(len(model.entities))
    query = model.embed_queries(torch.arange(len(model.entities), device=scores.device), relations, "head")  # (N, w)
    return model.score(query, model.entity_rows(queries[:, 0])).T.contiguous()  # to be read row by row


class _Best:
    """The best triples so far."""

    def __init__(self, top: int, device: torch.device) -> None:
        self.top = top
        self.sums = torch.empty(0, dtype=torch.float32, device=device)
        self.ids = torch.empty(0, 3, dtype=torch.int64, device=device)
        self.values = torch.empty(0, 3, dtype=torch.float32, device=device)
        """Score, and the log shares of tail and head."""

    def places(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns of a block's sums that may be among the best."""
        flat = sums.flatten()
        if len(self.sums) < self.top:
            places = flat.topk(min(self.top, len(flat))).indices
            places = places[flat[places] > -torch.inf]
        else:
            places = (flat > self.sums.min()).nonzero()[:, 0]
            if len(places) > self.top:
                places = places[flat[places].topk(self.top).indices]
        return places // sums.shape[1], places % sums.shape[1]

    def add(self, sums: Tensor, ids: Tensor, values: Tensor) -> None:
        """Take in some, and keep the best."""
        self.sums, self.ids, self.values = (
            torch.cat(both) for both in ((self.sums, sums), (self.ids, ids), (self.values, values))
        )
        if len(self.sums) > self.top:
            order = self.sums.topk(self.top).indices
            self.sums, self.ids, self.values = self.sums[order], self.ids[order], self.values[order]

    def result(self) -> NewTriples:
        """The best triples in order."""
        sums, ids = self.sums.tolist(), self.ids.tolist()
        order = sorted(range(len(sums)), key=lambda i: (-sums[i], ids[i]))
        scores, tail_shares, head_shares = self.values[order].cpu().unbind(dim=1)
        return NewTriples(self.ids[order].cpu(), scores, tail_shares, head_shares)


def _advance(advance: Callable[[int], None] | None, count: int) -> None:
    if advance is not None:
        advance(count)
