"""Losses over the score of a positive and the scores of its negatives."""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(positive: Tensor, negatives: Tensor) -> Tensor:
    """Softmax cross entropy with the positive as the one right class.

    Args:
        positive: scores of the positives, (B,).
        negatives: scores of their negatives, (B, K).

    Returns:
        The mean over the batch, a scalar.
    """
    everything = torch.cat([positive.unsqueeze(1), negatives], dim=1)  # (B, 1 + K)
    return (torch.logsumexp(everything, dim=1) - positive).mean()


def power_penalty(rows: Tensor, power: float) -> Tensor:
    """The sum of ``|x|**power`` over each row, averaged over rows (n, w): the N3 penalty at power 3 of real numbers."""
    return rows.abs().pow(power).sum(-1).mean()
