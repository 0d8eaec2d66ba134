"""Triple classification: telling true triples from given false ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from emugraph.errors import InputError


def classify(
    positives: Tensor, negatives: Tensor, relations: tuple[Tensor, Tensor], thresholds: dict[int | None, float] | None
) -> dict[str, Any]:
    """Metrics of scores of true and of false triples.

    Args:
        positives: scores of true triples, (n,).
        negatives: scores of false ones, (m,).
        relations: the relations of both, (n,) and (m,).
        thresholds: of :func:`choose_thresholds`, from other triples; None for no accuracy.

    Returns:
        ``auc_pr`` (average precision), ``auc_roc``, ``positives`` and ``negatives`` (how many); with thresholds also
        ``accuracy`` and ``f1``.

    Raises:
        InputError: there are no true or no false triples, a score is not a finite number, or scikit-learn is not
            installed.
    """
    if not len(positives) or not len(negatives):
        raise InputError("both true and false triples are needed to tell them apart")
    _check_finite(positives, negatives)
    try:
        from sklearn import metrics
    except ImportError as error:
        raise InputError("scikit-learn is not installed; pip install 'emugraph[analysis]'") from error
    scores = torch.cat([positives, negatives]).numpy()
    true = np.arange(len(scores)) < len(positives)
    results = {
        "auc_pr": float(metrics.average_precision_score(true, scores)),
        "auc_roc": float(metrics.roc_auc_score(true, scores)),
        "positives": len(positives),
        "negatives": len(negatives),
    }
    if thresholds is not None:
        its_threshold = [thresholds.get(r, thresholds[None]) for r in torch.cat(relations).tolist()]
        guessed = scores >= np.array(its_threshold)
        results["accuracy"] = float(metrics.accuracy_score(true, guessed))
        results["f1"] = float(metrics.f1_score(true, guessed))
    return results


def choose_thresholds(
    positives: Tensor, negatives: Tensor, relations: tuple[Tensor, Tensor]
) -> dict[int | None, float]:
    """For each relation, and under None for all together, the threshold of the highest accuracy.

    Triples with a score of the threshold or above count as true. Socher et al., "Reasoning With Neural Tensor Networks
    for Knowledge Base Completion", NeurIPS 2013.

    Args:
        positives: scores of true triples, (n,).
        negatives: scores of false ones, (m,).
        relations: the relations of both, (n,) and (m,).

    Raises:
        InputError: a score is not a finite number.
    """
    _check_finite(positives, negatives)
    scores = torch.cat([positives, negatives])
    true = torch.arange(len(scores), device=scores.device) < len(positives)
    both = torch.cat(relations)
    thresholds: dict[int | None, float] = {None: _threshold(scores, true)}
    for relation in both.unique().tolist():
        members = both == relation
        thresholds[relation] = _threshold(scores[members], true[members])
    return thresholds


def _check_finite(positives: Tensor, negatives: Tensor) -> None:
    scores = torch.cat([positives, negatives])
    wrong = int((~scores.isfinite()).sum())
    if wrong:
        raise InputError(f"{wrong:,} of {len(scores):,} scores {'is' if wrong == 1 else 'are'} not a finite number")


def _threshold(scores: Tensor, true: Tensor) -> float:
    """Halfway between two scores in turn, or beyond the ends; the highest of several that are as good."""
    values, places = scores.unique(return_inverse=True)  # ascending
    right = torch.bincount(places[true], minlength=len(values))
    wrong = torch.bincount(places[~true], minlength=len(values))
    # With the threshold below value i: true ones from i on, and false ones before i, are told right.
    told = torch.zeros(len(values) + 1, dtype=torch.int64, device=values.device)
    told[:-1] += right.flip(0).cumsum(0).flip(0)
    told[1:] += wrong.cumsum(0)
    best = len(told) - 1 - int(told.flip(0).argmax())
    ends = torch.cat([values[:1] - 1, values, values[-1:] + 1])
    return ((ends[best] + ends[best + 1]) / 2).item()
