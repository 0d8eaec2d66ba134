"""Negatives from caches of hard ones (NSCaching)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import torch
from torch import Tensor

from emugraph import static_shapes
from emugraph.data.answer_index import AnswerIndex
from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import InputError, nearest
from emugraph.io.state_dict import State, ids_below, same_shape
from emugraph.sampling.base import NegativeSampler, Scorer
from emugraph.types import SIDES, Side

UPDATES = ("importance", "top")


class NSCaching(NegativeSampler):
    """Each negative is any entity in the cache of its positive's query, with the same probability.

    A cache of ``cache_size`` entities is kept for each (head, relation) and each (relation, tail) of the training
    triples. It begins uniform. When a batch has been drawn, its caches are updated (:meth:`on_step`): each is pooled
    with as many random entities, the model scores the pool, and ``cache_size`` of it stay. "importance" keeps them by
    chance, without replacement, with probabilities that are the softmax of their scores; "top" keeps those with the
    highest scores. An entity that is in a pool twice stays once at most, unless there are not enough others.

    In a pipeline of DGL it is for its loop to call :meth:`on_step`, in the process that draws; until then negatives are
    uniform. All caches together take 4 bytes x ``cache_size`` x the number of queries (:attr:`nbytes`), whatever the
    number of steps. A query that is not in the training triples draws from all entities. The side to corrupt is chosen
    by the relation, as :class:`Bernoulli` does, by default.

    Args:
        kg: the graph.
        k: negatives for each positive, K, drawn with replacement.
        cache_size: N1, entities in a cache.
        candidates: N2, random entities that a cache is pooled with.
        update: "importance" or "top".
        update_every: caches are updated in every epoch of so many, in the others they stay as they are.
        seed: the seed of the first, uniform caches.
        options: ``filtered`` (then what makes a training triple is left out of the pool too), ``by_relation`` and
            ``corrupt``, see :class:`NegativeSampler`.

    Raises:
        InputError: values out of range.

    Zhang et al., "NSCaching: Simple and Efficient Negative Sampling for Knowledge Graph Embedding", ICDE 2019.
    """

    name = "nscaching"
    can_share = False
    chooses_side = True
    needs_relations = True

    def __init__(
        self,
        kg: KnowledgeGraph,
        k: int = 50,
        *,
        cache_size: int = 50,
        candidates: int = 50,
        update: Literal["importance", "top"] = "importance",
        update_every: int = 1,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(kg, k, **options)
        if update not in UPDATES:
            raise InputError(
                f"unknown update of caches {update!r}; known: {', '.join(UPDATES)}.{nearest(update, UPDATES)}"
            )
        for value, what in ((cache_size, "cache_size"), (candidates, "candidates"), (update_every, "update_every")):
            if value < 1:
                raise InputError(f"{what} is {value}; it must be at least 1")
        self.cache_size = cache_size
        self.candidates = candidates
        self.update = update
        self.update_every = update_every
        self._due = True
        self._queries = {side: AnswerIndex(kg.train, kg.num_relations, side) for side in SIDES}
        generator = torch.Generator().manual_seed(seed)
        self.caches: dict[Side, Tensor] = {}
        """For each side the caches of its queries, int32 (queries, N1), in the order of the queries' keys."""
        for side, known in self._queries.items():
            shape = (len(known.query_keys), cache_size)
            self.caches[side] = torch.randint(
                self.num_entities, shape, generator=generator, dtype=torch.int32, device="cpu"
            )

    @property
    def nbytes(self) -> int:
        """Bytes that the caches take."""
        return sum(cache.nbytes for cache in self.caches.values())

    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        slot, has_cache = self._queries[side].slots(triples)
        cache, size = self.caches[side], (len(triples), k)

        def randint(high: int) -> Tensor:
            return torch.randint(high, size, generator=generator, device=triples.device)

        if not len(cache):
            return randint(self.num_entities)
        cached = cache[slot.unsqueeze(1), randint(self.cache_size)].long()
        if not static_shapes.fixed(triples) and has_cache.all():
            return cached
        return torch.where(has_cache.unsqueeze(1), cached, randint(self.num_entities))

    @property
    def phase(self) -> Hashable:
        return self._due

    def on_epoch(self, epoch: int) -> None:
        self._due = (epoch - 1) % self.update_every == 0

    def on_step(self, triples: Tensor, side: Side, score: Scorer, generator: torch.Generator | None = None) -> None:
        if not self._due:
            return
        self.to(triples.device)
        slot, has_cache = self._queries[side].slots(triples)
        rows, first = _one_of_each(slot, has_cache)
        if not static_shapes.fixed(slot):  # a repeated query is updated once, else each time to the same
            rows = rows[(first == torch.arange(len(first), device=first.device)) & has_cache[rows]]
            first = torch.arange(len(rows), device=rows.device)
        triples, slot, has_cache = triples[rows], slot[rows], has_cache[rows]
        if not len(triples) or not len(self.caches[side]):
            return
        random = torch.randint(
            self.num_entities, (len(triples), self.candidates), generator=generator, device=triples.device
        )
        pool = torch.cat([self.caches[side][slot].long(), random], dim=1).sort(dim=1).values  # (B, N1 + N2)
        scores = score(triples, pool, side).float()
        if self.update == "importance":
            # The highest of scores with Gumbel noise are a draw without replacement by softmax (Kool et al., 2019).
            uniform = torch.rand(scores.shape, generator=generator, dtype=scores.dtype, device=scores.device)
            scores = scores - (-uniform.clamp_min(1e-20).log()).log()
        unwanted = torch.zeros_like(pool, dtype=torch.bool)
        unwanted[:, 1:] = pool[:, 1:] == pool[:, :-1]
        if self._known is not None:
            unwanted |= self._known.contain(pool, triples, side)
        kept = scores.masked_fill_(unwanted, -torch.inf).topk(self.cache_size, dim=1, sorted=False).indices
        cache = self.caches[side]
        cache[slot] = torch.where(has_cache.unsqueeze(1), pool.gather(1, kept).int()[first], cache[slot])

    def state_dict(self) -> State:
        return {"due": self._due} | dict(self.caches)

    def load_state_dict(self, state: State) -> None:
        self._due = state["due"]
        for side, cache in self.caches.items():
            stored = same_shape(state[side], cache, f"the cache of {side}s")
            cache.copy_(ids_below(self.num_entities, stored, f"the cache of {side}s"))

    def _move(self, device: torch.device) -> None:
        super()._move(device)
        for side in SIDES:
            self._queries[side].to(device)
            self.caches[side] = self.caches[side].to(device)


def _one_of_each(slot: Tensor, has_cache: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the batch, (B,), by slots: for each row the first one with its slot, for one without a slot another that
    has one, if any has; and for each of them the place where it first stands, (B,)."""
    ordered, order = torch.where(has_cache, slot, torch.iinfo(slot.dtype).max).sort(stable=True)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    first = torch.where(fresh & has_cache[order], torch.arange(len(slot), device=slot.device), 0).cummax(0).values
    return order[first], first
