"""The contract of a negative sampler, for this project's training and for DGL's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from emugraph import _dgl, static_shapes
from emugraph.data.graph import KnowledgeGraph
from emugraph.data.statistics import answers_per_query
from emugraph.errors import InputError
from emugraph.io.state_dict import State
from emugraph.sampling.filtering import TRIES, TripleFilter
from emugraph.types import Side

if TYPE_CHECKING:
    import dgl

Corrupt = Literal["tail", "head", "both"]

Scorer = Callable[[Tensor, Tensor, Side], Tensor]
"""Scores (B, C), without gradients, of candidates (B, C) for the target side of triples (B, 3)."""


class NegativeSampler(ABC):
    """Draws entities to stand in the place of the true one.

    A sampler answers with entity ids on the device of the batch: (K,) where the whole batch shares its negatives, so
    that scores are one matrix product, or (B, K) where each positive has its own. Subclasses say how negatives are
    drawn, in :meth:`draw`, and where one set can serve a batch, in :meth:`draw_shared`.

    Called with a DGL graph and edges, a sampler is a negative sampler of ``dgl.dataloading``::

        dgl.dataloading.as_edge_prediction_sampler(block_sampler, negative_sampler=KHop(kg, hops=2, k=32))

    The graph's nodes must be the entities by their ids, as in ``kg.graph`` and ``kg.homogeneous``; it may have further
    edges and edge types. Relations are told by the names of edge types, or by their ids in ``edata["relation"]``. Each
    edge then has negatives of its own, and random numbers are torch's own, which DataLoader seeds for each of its
    workers.

    Args:
        kg: the graph whose training triples are the positives.
        k: negatives for each positive, K.
        shared: one set of K for the whole batch, or K for each positive; None for what the sampler does by default.
        filtered: draw again what makes a training triple, the positive itself included, up to ten times; after that any
            entity that makes none takes its place, and one that makes a triple stays only where all do. Only for
            negatives that each positive has for itself. None for what the sampler does by default.
        by_relation: choose the side to corrupt by the relation (:func:`head_probability`); None for what the sampler
            does by default.
        corrupt: which side is corrupted when DGL asks: "tail", "head", or "both" for either at random. None for the
            tail, or with ``by_relation`` for both.

    Raises:
        InputError: values that do not go together.
    """

    name: ClassVar[str]
    """What the sampler is called in settings and on the command line."""

    can_share: ClassVar[bool] = True
    """Whether one set of negatives can serve a whole batch; then it does so by default."""

    filters: ClassVar[bool] = False
    """Whether training triples are filtered by default."""

    chooses_side: ClassVar[bool] = False
    """Whether the side to corrupt is chosen by the relation by default."""

    needs_relations: bool = False
    """Whether negatives depend on the relation of their positive, filtering aside."""

    head_probability: Tensor | None
    """With what probability the head is corrupted rather than the tail, for each relation, (R,); None for sides in
    turn, or half of the time where DGL asks for both."""

    def __init__(
        self,
        kg: KnowledgeGraph,
        k: int = 256,
        *,
        shared: bool | None = None,
        filtered: bool | None = None,
        by_relation: bool | None = None,
        corrupt: Corrupt | None = None,
    ) -> None:
        filtered = self.filters if filtered is None else filtered
        shared = (self.can_share and not filtered) if shared is None else shared
        by_relation = self.chooses_side if by_relation is None else by_relation
        corrupt = ("both" if by_relation else "tail") if corrupt is None else corrupt
        if not kg.num_entities:
            raise InputError(f"{kg.name} has no entities to draw from")
        if k < 1:
            raise InputError(f"{k} negatives a positive; at least one is needed")
        if shared and not self.can_share:
            raise InputError(f"the sampler {self.name!r} draws for each positive; one set cannot serve a batch")
        if shared and filtered:
            raise InputError("only negatives of each positive's own can be filtered; they cannot be shared then")
        if corrupt not in ("tail", "head", "both"):
            raise InputError(f"the side to corrupt is {corrupt!r}; known: tail, head, both")
        self.kg = kg
        self.num_entities = kg.num_entities
        self.k = k
        self.shared = shared
        self.filtered = filtered
        self.corrupt = corrupt
        self.head_probability = head_probability(kg) if by_relation else None
        self.device = torch.device("cpu")
        self._known = TripleFilter(kg) if filtered else None

    # ---------------------------------------------------------------- drawing

    def sample(self, triples: Tensor, side: Side, generator: torch.Generator | None = None) -> Tensor:
        """Negatives for a batch.

        Args:
            triples: the positives, int64 (B, 3).
            side: the side to corrupt.
            generator: the source of random numbers, on the device of ``triples``; None for torch's own.

        Returns:
            entity ids, int64: (K,) shared or (B, K) per positive.
        """
        if not self.shared:
            return self.sample_each(triples, side, generator)
        self.to(triples.device)
        return self.draw_shared(triples, side, self.k, generator)

    def sample_each(
        self, triples: Tensor, side: Side, generator: torch.Generator | None = None, k: int | None = None
    ) -> Tensor:
        """Negatives of each positive's own, int64 (B, K), also where they are shared otherwise; or ``k`` of them."""
        self.to(triples.device)
        k = self.k if k is None else k
        if self._known is None:
            return self.draw(triples, side, k, generator)
        if static_shapes.fixed(triples):
            drawn = self.draw(triples, side, k * (1 + TRIES), generator).view(len(triples), k, 1 + TRIES)
            return self._known.choose(drawn, triples, side, generator)
        negatives = self.draw(triples, side, k, generator)

        def redraw(rows: Tensor) -> Tensor:
            return self.redraw(triples, side, rows, generator)

        return self._known.replace(negatives, triples, side, redraw, generator)

    @abstractmethod
    def draw(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        """Draw ``k`` negatives for each positive, int64 (B, k), unfiltered; arguments as for :meth:`sample`."""

    def draw_shared(self, triples: Tensor, side: Side, k: int, generator: torch.Generator | None) -> Tensor:
        """Draw ``k`` negatives that serve the whole batch, int64 (k,)."""
        raise InputError(f"the sampler {self.name!r} has no negatives that serve a whole batch")

    def redraw(self, triples: Tensor, side: Side, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw another negative for each of some rows of the batch, (M,), in the place of one that was filtered."""
        return self.draw(triples[rows], side, 1, generator)[:, 0]

    # ---------------------------------------------------------------- in step with training

    @property
    def phase(self) -> Hashable:
        """What of the sampler's state on the host decides how a batch is sampled; it changes between epochs alone."""
        return None

    def on_epoch(self, epoch: int) -> None:
        """Called before the first step of each epoch, counted from 1; an epoch in which no batch begins is left out."""
        return

    def on_step(self, triples: Tensor, side: Side, score: Scorer, generator: torch.Generator | None = None) -> None:
        """Called when negatives were drawn for a batch: the time to learn from the model which are hard.

        Args:
            triples: the positives, int64 (B, 3).
            side: the side that is corrupted.
            score: scores candidates with the model as it is.
            generator: the source of random numbers.
        """
        return

    def state_dict(self) -> State:
        """What a sampler has learnt so far, to go on from later; empty for one that learns nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go on where ``state`` was taken.

        Raises:
            ValueError: it was taken from a sampler of other sizes.
        """
        return

    def to(self, device: torch.device | str) -> NegativeSampler:
        """Move what negatives are drawn from to a device, in place; nothing happens where it is there."""
        device = torch.device(device)
        if device != self.device:
            self._move(device)
            self.device = device
        return self

    def _move(self, device: torch.device) -> None:
        if self._known is not None:
            self._known.to(device)
        if self.head_probability is not None:
            self.head_probability = self.head_probability.to(device)

    # ---------------------------------------------------------------- as a negative sampler of DGL

    def __call__(self, graph: dgl.DGLGraph, eids: Any) -> Any:
        """Negative pairs for edges, as ``dgl.dataloading`` wants them.

        Args:
            graph: a graph with the entities as its nodes.
            eids: edge ids, (B,), or a mapping from edge types to edge ids.

        Returns:
            sources and destinations of B x K pairs, K in turn for each edge; or a mapping from edge types to such.

        Raises:
            InputError: the graph's nodes are not the entities, or its edges' relations are needed and not given.
            EmugraphError: DGL is not installed.
        """
        _dgl.load("a sampler takes edges of a DGL graph")
        if isinstance(eids, Mapping):
            return {graph.to_canonical_etype(t): self._pairs(graph, ids, t) for t, ids in eids.items() if len(ids)}
        if len(graph.canonical_etypes) > 1:
            raise InputError("the graph has several edge types; give a mapping from edge types to edge ids")
        return self._pairs(graph, eids, graph.canonical_etypes[0])

    def _pairs(self, graph: dgl.DGLGraph, eids: Tensor, etype: Any) -> tuple[Tensor, Tensor]:
        source_type, relation, _ = graph.to_canonical_etype(etype)
        if graph.num_nodes(source_type) != self.num_entities:
            raise InputError(
                f"the graph has {graph.num_nodes(source_type):,} nodes of type {source_type!r}, but the sampler's has "
                f"{self.num_entities:,} entities; nodes must be entities, by their ids"
            )
        heads, tails = (ids.long() for ids in graph.find_edges(eids, etype=etype))
        relations = self._relations(graph, eids, etype, relation)
        triples = torch.stack([heads, relations, tails], dim=1)
        self.to(triples.device)
        corrupt_head = self._sides(relations)
        sources, destinations = heads.repeat_interleave(self.k), tails.repeat_interleave(self.k)
        for side, rows in (("tail", ~corrupt_head), ("head", corrupt_head)):
            if rows.any():
                negatives = self.sample_each(triples[rows], side)  # type: ignore[arg-type]
                into = destinations if side == "tail" else sources
                into[rows.repeat_interleave(self.k)] = negatives.flatten()
        return sources.to(graph.idtype), destinations.to(graph.idtype)

    def _sides(self, relations: Tensor) -> Tensor:
        """Which of the edges have their head corrupted, bool (B,)."""
        if self.corrupt != "both":
            return torch.full_like(relations, self.corrupt == "head", dtype=torch.bool)
        chance = torch.rand(len(relations), dtype=torch.float32, device=relations.device)
        return chance < (0.5 if self.head_probability is None else self.head_probability[relations])

    def _relations(self, graph: dgl.DGLGraph, eids: Tensor, etype: Any, label: str) -> Tensor:
        """The edges' relation ids: by the edge type's label, or from ``edata["relation"]``."""
        if label in self.kg.relations:
            return torch.full((len(eids),), self.kg.relations.id(label), device=eids.device)
        relations = graph.edges[etype].data.get("relation")
        if relations is not None:  # not dgl.ETYPE, which counts types by their names' order
            relations = relations[eids].long()
            if len(relations) and not 0 <= int(relations.min()) <= int(relations.max()) < self.kg.num_relations:
                raise InputError(
                    f'graph.edata["relation"] of the edges is in {int(relations.min())}..'
                    f"{int(relations.max())}, but relation ids are 0..{self.kg.num_relations - 1}"
                )
            return relations
        if self.needs_relations or self.filtered or self.head_probability is not None:
            raise InputError(
                f"the sampler needs the relation of edges of type {label!r}: name the type like a relation, or give "
                'relation ids in graph.edata["relation"]'
            )
        return torch.zeros(len(eids), dtype=torch.int64, device=eids.device)

    def __repr__(self) -> str:
        ways = f"{'shared' if self.shared else 'per positive'}{', filtered' if self.filtered else ''}"
        return f"{type(self).__name__}(k={self.k}, {ways})"


def head_probability(kg: KnowledgeGraph) -> Tensor:
    r"""With what probability a relation's head is corrupted, float32 (R,); one half for a relation without triples.

    .. math:: p = \frac{tph}{tph + hpt}

    where tph is the mean number of tails per head and hpt that of heads per tail: where a head has many tails, another
    tail is likely to be true, and another head is not. Wang et al., "Knowledge Graph Embedding by Translating on
    Hyperplanes", AAAI 2014.
    """
    heads_per_tail, tails_per_head = answers_per_query(kg)
    return (tails_per_head / (tails_per_head + heads_per_tail)).nan_to_num(0.5).float()
