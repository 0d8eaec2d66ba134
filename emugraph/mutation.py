"""Embedding mutation (EMU): hard negatives that take some components from the true entity.

A mutated negative is put together from two parents, component by component (Eq. 2)::

    z~ = lambda * z_pos + (1 - lambda) * z_neg,   lambda binary

Its score need not be computed from the mixed embedding. A score that is a sum over components (see
:class:`emugraph.models.base.Model`) splits exactly into the positive's share and the negative's. Where negatives are
shared by a batch, the positive's share is a matrix product, and for DistMult and ComplEx the negative's is too; sums of
distances go through the kernels, which on a CPU store nothing of size B x K x d either (:mod:`emugraph.kernels`).

The functions here need no trainer and no graph::

    >>> import torch
    >>> from emugraph.models import DistMult
    >>> from emugraph.mutation import draw_masks, mutated_scores
    >>> model = DistMult(num_entities=100, num_relations=3, dim=8)
    >>> heads, relations, tails = torch.randint(100, (5,)), torch.randint(3, (5,)), torch.randint(100, (5,))
    >>> query = model.query(model.entities[heads], model.relations[relations], "tail")
    >>> negatives = model.entities[torch.randint(100, (16,))]  # shared by the batch
    >>> mask = draw_masks(16, model.num_components, 0.5, torch.Generator().manual_seed(0))
    >>> plain, mutated = mutated_scores(model, query, model.entities[tails], negatives, mask)
    >>> mutated.shape
    torch.Size([5, 16])
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from emugraph._renamed import keyword
from emugraph.errors import InputError
from emugraph.kernels import spread_masks
from emugraph.models.base import Model

MaskKind = Literal["exact", "bernoulli"]


def draw_masks(
    count: int | tuple[int, ...],
    units: int,
    rate: float,
    generator: torch.Generator,
    *,
    kind: MaskKind = "exact",
) -> Tensor:
    """Mutation masks: which components come from the positive.

    Args:
        count: how many masks, a number or a shape.
        units: u, components of a score (``model.num_components``).
        rate: the share of components from the positive, n_P / d, 0 to 1.
        generator: the source of random numbers; masks are made on its device.
        kind: "exact": round(rate * u) ones in random order, as the paper's footnote 2 says. "bernoulli": each
            component by itself with probability ``rate``, as the authors' published settings do.

    Returns:
        bool (*count, u).

    Raises:
        InputError: the rate is outside 0..1, or the kind is unknown.
    """
    if not 0 <= rate <= 1:
        raise InputError(f"the mutation rate is {rate}; it is a share of components, between 0 and 1")
    shape = (count,) if isinstance(count, int) else count
    noise = torch.rand(*shape, units, generator=generator, dtype=torch.float32, device=generator.device)
    if kind == "bernoulli":
        return noise < rate
    if kind != "exact":
        raise InputError(f"unknown kind of mask {kind!r}; known: exact, bernoulli")
    ones = round(rate * units)
    mask = torch.zeros(noise.shape, dtype=torch.bool, device=noise.device)
    return mask.scatter_(-1, noise.topk(ones, dim=-1, sorted=False).indices, True)


def mutate(positive: Tensor, negative: Tensor, mask: Tensor) -> Tensor:
    """Eq. 2: components where the mask is set from the positive, the others from the negative.

    Args:
        positive: embeddings (..., w).
        negative: embeddings (..., w) that broadcast with them.
        mask: bool or 0/1, (..., u); where a unit is a complex number (w = 2u: real parts, then imaginary parts), both
            of its parts go together.

    Returns:
        mutated embeddings (..., w); gradients flow into both parents.
    """
    if mask.shape[-1] * 2 == positive.shape[-1]:
        mask = torch.cat([mask, mask], dim=-1)
    return torch.where(mask.bool(), positive, negative)


@keyword("run", "mask_group")
def mutated_scores(
    model: Model,
    query: Tensor,
    positive: Tensor,
    negatives: Tensor,
    mask: Tensor,
    mask_group: int = 1,
    index: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores of the negatives as they are and mutated, factorised.

    Args:
        model: the score function.
        query: queries (B, w), from ``model.query``.
        positive: embeddings of the true answers (B, w).
        negatives: embeddings (K, w) shared by the batch, (B, K, w) for each positive, or with ``index`` a table (T, w).
        mask: (K, u), one mask for each negative of a positive, the same for all positives; or where each positive has
            negatives of its own, also (B, K, u).
        mask_group: how many consecutive negatives share a mask. There are then K / mask_group masks, rounded up.
            With 16, all of 16 negatives take the same components from the positive, and on a CPU mutated scores cost
            next to nothing.
        index: int64 (B, K), the rows of the table that are each positive's negatives; on a CPU they are then read where
            they lie, and nothing of size B x K x w is made.

    Returns:
        plain and mutated scores, each (B, K).
    """
    return model.score_mutated(query, positive, negatives, mask, mask_group, index)


@keyword("run", "mask_group")
def materialized_scores(
    model: Model, query: Tensor, positive: Tensor, negatives: Tensor, mask: Tensor, mask_group: int = 1
) -> tuple[Tensor, Tensor]:
    """The same as :func:`mutated_scores`, from mixed embeddings (B, K, w): slow, plain, and for any score function."""
    mask = spread_masks(mask, mask_group, negatives.shape[-2])
    return (
        model.score_each(query, negatives.expand(len(query), *negatives.shape[-2:])),
        model.score_each(query, mutate(positive.unsqueeze(1), negatives, mask)),
    )


def draw_mixup_weights(
    count: int | tuple[int, ...], generator: torch.Generator, *, a: float = 2.0, b: float = 1.0
) -> Tensor:
    """The share of the negative in each mixed embedding, drawn from Beta(a, b), float32 of that shape.

    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; the settings are those of EMU's comparison.
    """
    shape = (count,) if isinstance(count, int) else count
    device = generator.device
    shapes = (torch.full(shape, float(p), dtype=torch.float32, device=device) for p in (a, b))
    x, y = (torch._standard_gamma(shape, generator=generator) for shape in shapes)
    return x / (x + y)


def mixed_up_scores(
    model: Model, query: Tensor, positive: Tensor, negatives: Tensor, weight: Tensor, index: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scores of the negatives as they are and mixed in proportion: ``z~ = weight * z_neg + (1 - weight) * z_pos``.

    Arguments as for :func:`mutated_scores`, with ``weight`` (K,) or (B, K) in place of the mask. TransE and
    RotatE make the mixed embeddings, B x K x w numbers, but for shared negatives where the kernels are compiled.
    """
    return model.score_mixed_up(query, positive, negatives, weight, index)
