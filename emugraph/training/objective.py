"""From settings to the loss of a batch: how negatives are mixed, and what the loss makes of the scores."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from emugraph import losses
from emugraph.models import Model
from emugraph.mutation import draw_masks, draw_mixup_weights, mixed_up_scores, mutated_scores
from emugraph.training.settings import Settings


class Objective(Protocol):
    """The loss of positives (B,), mixed negatives (B, K) and plain negatives (B, K), a scalar."""

    def __call__(self, positive: Tensor, mixed: Tensor, plain: Tensor) -> Tensor: ...


def build_objective(settings: Settings) -> Objective:
    """The objective of the settings.

    With cross entropy it is Eq. 5 (:func:`emugraph.losses.emu_objective`). With another loss it has the same two
    terms: that loss over mixed negatives with the label ``beta``, plus ``alpha`` times the loss over plain ones. Where
    negatives are neither mixed nor labelled, both terms would be the same, and there is only the plain one, with the
    weight 1.
    """
    term = _build_term(settings)
    if settings.mixing == "none" and settings.beta == 0:
        return lambda positive, mixed, plain: term(positive, plain, beta=0.0)
    if settings.loss == "cross-entropy":
        return partial(
            losses.emu_objective,
            beta=settings.beta,
            alpha=settings.alpha,
            labels=settings.labels,
            divide_by_negatives=settings.divide_by_negatives,
        )

    def objective(positive: Tensor, mixed: Tensor, plain: Tensor) -> Tensor:
        loss = term(positive, mixed, beta=settings.beta)
        return loss + settings.alpha * term(positive, plain, beta=0.0) if settings.alpha else loss

    return objective


class _Term(Protocol):
    def __call__(self, positive: Tensor, negatives: Tensor, *, beta: float) -> Tensor: ...


def _build_term(settings: Settings) -> _Term:
    if settings.loss == "self-adversarial":
        return partial(losses.self_adversarial, margin=settings.margin, temperature=settings.temperature)
    if settings.loss == "margin-ranking":
        return partial(losses.margin_ranking, margin=settings.margin)
    if settings.loss == "binary-cross-entropy":
        return partial(losses.binary_cross_entropy, margin=settings.margin)
    return lambda positive, negatives, *, beta: losses.cross_entropy(positive, negatives)


def negative_scores(
    model: Model,
    query: Tensor,
    positive: Tensor,
    negatives: Tensor,
    settings: Settings,
    generator: torch.Generator,
    index: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Plain and mixed scores of negatives, each (B, K), mixed as the settings say.

    Where each positive has negatives of its own, all have the same K masks, one for each of them in turn.

    Args:
        model: the score function.
        query: queries (B, w).
        positive: embeddings of the true answers (B, w).
        negatives: embeddings (K, w) shared by the batch, (B, K, w), or with ``index`` a table (T, w).
        settings: ``mixing`` and its parameters.
        generator: the source of masks and weights, on the device of the embeddings.
        index: int64 (B, K), the rows of the table that are each positive's negatives.
    """
    count = tuple(negatives.shape[:-1] if index is None else index.shape)
    if settings.mixing == "emu":
        mask_group = settings.mask_group if len(count) == 1 else 1  # only shared negatives gain from sharing masks
        mask = draw_masks(
            -(-count[-1] // mask_group), model.num_components, settings.mutation_rate, generator, kind=settings.mask
        )
        return mutated_scores(model, query, positive, negatives, mask, mask_group, index)
    if settings.mixing == "mixup":
        weight = draw_mixup_weights(count, generator, a=settings.mixup_a, b=settings.mixup_b)
        return mixed_up_scores(model, query, positive, negatives, weight, index)
    plain = model.score_negatives(query, negatives, index)
    return plain, plain
