"""The contract of a score function.

Every score here is, up to an link function, a sum over components of a query and a candidate::

    score(q, e) = link(sum_i phi(q_i, e_i))

The query is made of what is known, an entity and a relation; the candidate stands for the target, the tail or the
head. A sum over components is what lets embedding mutation split a mutated candidate's score exactly, and it is all
that training, ranking and prediction ask of a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from emugraph._renamed import names_of, warn
from emugraph.kernels import spread_masks
from emugraph.types import Side

_BLOCK = 1 << 16
"""Rows that are drawn at one time; how many changes none of the numbers."""


def init_uniform(table: Tensor, scale: float, generator: torch.Generator) -> None:
    """Fill a table in place with numbers uniform in -scale..scale, drawn on the CPU whatever the device."""
    if table.is_meta:  # a model of shapes alone
        return
    with torch.no_grad():
        for rows in table.split(_BLOCK):  # no second table in memory
            rows.copy_(
                torch.rand(rows.shape, generator=generator, dtype=torch.float32, device="cpu")
                .mul_(2 * scale)
                .sub_(scale)
            )


def _as_outer(link: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """A class's own link function by its old name."""

    def outer(model: Model, total: Tensor) -> Tensor:
        warn("Model.outer", "Model.link")
        return link(model, total)

    return outer


class Model(nn.Module, ABC):
    """A score function with its embedding tables.

    Args:
        num_entities: N.
        num_relations: R.
        dim: d, real numbers, or complex ones for ComplEx and RotatE.
        init_scale: entity embeddings start uniform in +-init_scale; None for the model's own default.
        reciprocal: give every relation a second row for queries about the head, which are then put as queries
            about the tail of the inverse relation (Lacroix et al., "Canonical Tensor Decomposition for Knowledge Base
            Completion", ICML 2018). The inverse of relation r has the row R + r.
        generator: the random numbers of the start; None for a fixed seed.
        empty: makes a table of a shape, float32.

    Subclasses give ``entity_width``, ``relation_width`` (real numbers a row), :meth:`query`, :meth:`components`, and
    where it is quicker than the general form, :meth:`score`.
    """

    name: ClassVar[str]
    """What the model is called in settings and on the command line."""

    title: ClassVar[str]
    """How the literature writes its name."""

    default_init_scale: ClassVar[float] = 0.1

    penalized_relations: ClassVar[bool] = True
    """Whether regularization shrinks relations too; it must not where they are angles."""

    def __init__(
        self,
        num_entities: int,
        num_relations: int,
        dim: int,
        *,
        init_scale: float | None = None,
        reciprocal: bool = False,
        generator: torch.Generator | None = None,
        empty: Callable[[int, int], Tensor] = partial(torch.empty, dtype=torch.float32),  # noqa: B008
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_relations = num_relations
        self.reciprocal = reciprocal
        self.sparse_gradients = False
        self.entities = nn.Parameter(empty(num_entities, self.entity_width))  # (N, w)
        rows = 2 * num_relations if reciprocal else num_relations
        self.relations = nn.Parameter(empty(rows, self.relation_width))  # (R or 2R, w')
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        scale = self.default_init_scale if init_scale is None else init_scale
        init_uniform(self.entities, scale, generator)
        self.init_relations(scale, generator)

    @property
    @abstractmethod
    def entity_width(self) -> int:
        """Real numbers in an entity's row, w."""

    @property
    @abstractmethod
    def relation_width(self) -> int:
        """Real numbers in a relation's row."""

    @property
    def num_components(self) -> int:
        """u, the number of terms in the sum, which is the number of mutation units: d, but 2d for ComplEx, whose
        real and imaginary parts are terms of their own."""
        return self.entity_width

    def entity_rows(self, ids: Tensor) -> Tensor:
        """Embeddings of entities, (..., w), for ids (...); with sparse gradients where ``sparse_gradients`` is set."""
        return functional.embedding(ids, self.entities, sparse=self.sparse_gradients)

    def relation_rows(self, ids: Tensor) -> Tensor:
        """Embeddings of relations, (..., w'), for ids (...)."""
        return functional.embedding(ids, self.relations, sparse=self.sparse_gradients)

    def init_relations(self, scale: float, generator: torch.Generator) -> None:
        """Fill the relation table; by default like the entities'."""
        init_uniform(self.relations, scale, generator)

    def directed(self, relations: Tensor, side: Side) -> tuple[Tensor, Side]:
        """How a query is put: the rows of the relation table that it uses, and the side for :meth:`query`.

        That is what is given, but for a model with reciprocal relations, whose target is never the head.
        """
        if self.reciprocal and side == "head":
            return relations + self.num_relations, "tail"
        return relations, side

    def embed_queries(self, entities: Tensor, relations: Tensor, side: Side) -> Tensor:
        """Queries (B, w) for the ids of known entities (B,) and of relations (B,), whose target is the ``side``."""
        rows, side = self.directed(relations, side)
        return self.query(self.entity_rows(entities), self.relation_rows(rows), side)

    def ask(self, entities: Tensor, relations: Tensor, side: Side) -> Tensor:
        """The old name of :meth:`embed_queries`."""
        warn("Model.ask", "Model.embed_queries")
        return self.embed_queries(entities, relations, side)

    @abstractmethod
    def query(self, entity: Tensor, relation: Tensor, side: Side) -> Tensor:
        """The query as a vector that candidates are compared with.

        Args:
            entity: embeddings of the known entities, (..., w): the head where the tail is the target, else the tail.
            relation: embeddings of the relations, (..., w').
            side: the target, "tail" or "head".

        Returns:
            queries, (..., w).
        """

    @abstractmethod
    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        """phi: the terms of the sum, (..., u), for queries and candidates (..., w) that broadcast."""

    def link(self, total: Tensor) -> Tensor:
        """The monotone function around the sum; the identity unless a model says otherwise."""
        return total

    def outer(self, total: Tensor) -> Tensor:
        """The old name of :meth:`link`."""
        warn("Model.outer", "Model.link")
        return Model.link(self, total)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "outer" in vars(cls):
            warn(f"{cls.__name__}.outer", "link")
            cls.link = cls.outer  # type: ignore[method-assign]
        elif "link" in vars(cls):
            cls.outer = _as_outer(cls.link)  # type: ignore[assignment]

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Scores of all pairs, (B, K), of queries (B, w) and candidates (K, w)."""
        return self.link(self.components(query.unsqueeze(1), candidate).sum(-1))

    def score_each(self, query: Tensor, candidate: Tensor) -> Tensor:
        """Scores (B, ...) of each query (B, w) with candidates of its own (B, ..., w)."""
        extra = candidate.ndim - query.ndim
        query = query.reshape(query.shape[0], *([1] * extra), query.shape[-1])
        return self.link(self.components(query, candidate).sum(-1))

    def score_negatives(self, query: Tensor, candidate: Tensor, index: Tensor | None = None) -> Tensor:
        """Scores (B, K) of queries (B, w) with their candidates.

        Args:
            query: (B, w).
            candidate: (K, w) shared by all queries; (B, K, w) for each; or a table (T, w) together with ``index``.
            index: int64 (B, K), the rows of the table that are each query's candidates. They are not gathered where
                the kernels are compiled.
        """
        if index is not None:
            return self.score_each(query, candidate[index])
        return self.score(query, candidate) if candidate.ndim == 2 else self.score_each(query, candidate)

    def score_mutated(
        self,
        query: Tensor,
        positive: Tensor,
        candidate: Tensor,
        mask: Tensor,
        mask_group: int = 1,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores of candidates as they are, and with the masked components taken from each query's positive.

        The sum splits by components: what the mask takes from the positive, and what it leaves of the candidate.

        Args:
            query: (B, w).
            positive: embeddings of the true answers, (B, w).
            candidate: (K, w) shared by all queries, (B, K, w) for each, or with ``index`` a table (T, w).
            mask: bool, (K / mask_group, u), rounded up, the same masks for all queries. Also
                (B, K / mask_group, u) where each query has candidates of its own.
            mask_group: how many consecutive candidates share a mask.
            index: see :meth:`score_negatives`.

        Returns:
            plain and mutated scores, each (B, K).
        """
        candidate = candidate if index is None else candidate[index]
        mask = spread_masks(mask, mask_group, candidate.shape[-2])
        left = (~mask).to(query.dtype)
        phi = self.components(query.unsqueeze(1), candidate)  # (B, K, u)
        taken = taken_from_positive(self.components(query, positive), mask)
        return self.link(phi.sum(-1)), self.link(taken + (phi * left).sum(-1))

    def score_mixed_up(
        self, query: Tensor, positive: Tensor, candidate: Tensor, weight: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of candidates as they are, and mixed with each query's positive in proportion (MIXUP).

        Args:
            query: (B, w).
            positive: embeddings of the true answers, (B, w).
            candidate: (K, w) shared by all queries, (B, K, w) for each, or with ``index`` a table (T, w).
            weight: the candidate's share, (K,), or (B, K) where each query has candidates of its own.
            index: see :meth:`score_negatives`.

        Returns:
            plain and mixed scores, each (B, K).
        """
        plain = self.score_negatives(query, candidate, index)
        candidate = candidate if index is None else candidate[index]
        mixed = torch.lerp(positive.unsqueeze(1), candidate, weight.unsqueeze(-1))  # (B, K, w)
        return plain, self.score_each(query, mixed)

    def score_triples(self, triples: Tensor) -> Tensor:
        """Scores (n,) of triples given by ids, (n, 3), as answers to the query for their tails."""
        heads, relations, tails = triples.unbind(dim=1)
        return self.score_each(self.embed_queries(heads, relations, "tail"), self.entity_rows(tails))

    def extra_repr(self) -> str:
        return f"entities={len(self.entities)}, relations={self.num_relations}, dim={self.dim}"


def as_table(candidate: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Candidates that each query has for itself, (B, K, w), as a table and its index; others as they are."""
    if index is not None or candidate.ndim == 2:
        return candidate, index
    size, k, _ = candidate.shape
    return candidate.flatten(0, 1), torch.arange(size * k, device=candidate.device).view(size, k)


def taken_from_positive(phi: Tensor, mask: Tensor) -> Tensor:
    """The share of a mutated score that comes from the positive, (B, K).

    Args:
        phi: components of each query and its positive, (B, u).
        mask: bool (K, u) shared, or (B, K, u).
    """
    mask = mask.to(phi.dtype)
    return phi @ mask.T if mask.ndim == 2 else (mask @ phi.unsqueeze(-1)).squeeze(-1)


__getattr__ = names_of(__name__)
