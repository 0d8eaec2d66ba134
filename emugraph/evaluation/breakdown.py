"""Rankings looked at closely: by relation, side, kind of relation and frequency, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from emugraph.data.statistics import relation_cardinalities
from emugraph.errors import InputError, nearest
from emugraph.evaluation.ranking import HITS
from emugraph.types import SIDES

if TYPE_CHECKING:
    from emugraph.data.graph import KnowledgeGraph

By = Literal["relation", "side", "category", "frequency"]
BY: tuple[By, ...] = get_args(By)

RESAMPLES = 1000
LEVEL = 0.95
FREQUENCIES = (0, 3, 10, 31, 100, 316, 1000)
"""The highest number of training triples of an entity in each group but the last."""


@dataclass(frozen=True)
class Rankings:
    """Ranks of the true answers of some triples, both sides.

    Args:
        kg: the graph.
        triples: int64 (n, 3).
        ranks: float64 (n, 2), of the tail and of the head; ties as their mean.
    """

    kg: KnowledgeGraph
    triples: Tensor
    ranks: Tensor

    def by(self, what: str) -> list[dict[str, Any]]:
        """Metrics of all rankings and of each group of them.

        Args:
            what: "relation"; "side"; "category": the relation's kind, 1-1, 1-N, N-1 or N-N (see
                :func:`emugraph.data.statistics.relation_cardinalities`); "frequency": in how many training triples the
                true answer stands.

        Returns:
            a row a group, "all" first: ``group``, ``triples`` with a ranking in it, ``rankings``, ``mrr`` with ``low``
            and ``high``, the bounds of its 95 % interval (bootstrap over triples, percentiles; None for one triple),
            ``hits@1``, ``hits@3``, ``hits@10``, and the MRR of tails and heads, ``tail`` and ``head`` (None where the
            group has none).

        Raises:
            InputError: unknown groups.
        """
        if what not in BY:
            raise InputError(f"unknown groups {what!r}; known: {', '.join(BY)}.{nearest(what, BY)}")
        names, numbers = getattr(self, f"_by_{what}")()
        rows = [self._metrics("all", torch.ones_like(self.ranks, dtype=torch.bool))]
        for number, name in enumerate(names):
            members = numbers == number
            if members.any():
                rows.append(self._metrics(name, members))
        return rows

    def _metrics(self, group: str, members: Tensor) -> dict[str, Any]:
        """Metrics of the rankings (n, 2) that are marked."""
        inverse = self.ranks.reciprocal()
        rows = members.any(dim=1)
        sums, counts = torch.where(members, inverse, 0)[rows].sum(1), members[rows].sum(1)
        low, high = interval(sums.numpy(), counts.numpy())
        sides: dict[str, float | None] = {
            side: inverse[chosen, i].mean().item() if (chosen := members[:, i]).any() else None
            for i, side in enumerate(SIDES)
        }
        return {
            "group": group,
            "triples": int(rows.sum()),
            "rankings": int(members.sum()),
            "mrr": inverse[members].mean().item(),
            "low": low,
            "high": high,
            **{f"hits@{k}": (self.ranks[members] <= k).double().mean().item() for k in HITS},
            **sides,
        }

    # Each gives the groups' names in order, and each ranking's group by number, (n, 2); -1 for none.

    def _by_relation(self) -> tuple[list[str], Tensor]:
        return list(self.kg.relations), self.triples[:, 1:2].expand(-1, 2)

    def _by_side(self) -> tuple[list[str], Tensor]:
        return list(SIDES), torch.arange(2, device="cpu").expand(len(self.triples), 2)

    def _by_category(self) -> tuple[list[str], Tensor]:
        kinds = relation_cardinalities(self.kg)
        names = [*sorted({kind for kind in kinds if kind is not None}), "not in training"]
        numbers = torch.tensor([names.index(kind or names[-1]) for kind in kinds], device="cpu")
        return names, numbers[self.triples[:, 1:2]].expand(-1, 2)

    def _by_frequency(self) -> tuple[list[str], Tensor]:
        counts = torch.bincount(self.kg.train[:, [0, 2]].flatten(), minlength=self.kg.num_entities)
        bounds = torch.tensor(FREQUENCIES, device="cpu")
        lowest = [0, *(bound + 1 for bound in FREQUENCIES)]
        names = [
            f"{low}" if low == high else f"{low}-{high}" for low, high in zip(lowest, FREQUENCIES, strict=False)
        ] + [f"{lowest[-1]} or more"]
        return names, torch.bucketize(counts[self.triples[:, [2, 0]]], bounds)


def interval(
    sums: np.ndarray, counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float | None, float | None]:
    """The bounds of the 95 % interval of ``sums.sum() / counts.sum()``, by resampling their rows (n,) together.

    Rows are triples: the two rankings of one are not independent. Percentiles of the bootstrap; None for fewer than two
    rows. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    from scipy import stats  # a second and 60 MB, which ranking alone does without

    if len(sums) < 2:
        return None, None
    ratio: Callable[..., Any] = lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis)  # noqa: E731
    limits = stats.bootstrap(
        (sums, counts), ratio, paired=True, vectorized=True, n_resamples=resamples, confidence_level=LEVEL,
        batch=max(1, 2**20 // len(sums)), method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(limits.low), float(limits.high)
