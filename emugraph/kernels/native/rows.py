"""What is done row by row with scores: the softmax loss and the counts that ranks are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from emugraph.kernels.native.library import call


def count_better(scores: Tensor, true_scores: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
    scores, true_scores = scores.contiguous(), true_scores.contiguous()
    rows = None if rows is None else rows.contiguous()
    greater, less = scores.new_empty(2, len(true_scores), dtype=torch.int64)  # (n,) each
    if len(true_scores):
        call("emugraph_count_better", scores, *scores.shape, true_scores, rows, len(true_scores), greater, less)
    return greater, less


def softmax_loss(positive: Tensor, negatives: Tensor, label: float) -> Tensor:
    return _SoftmaxLoss.apply(positive, negatives, label)


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, positive: Tensor, negatives: Tensor, label: float) -> Tensor:
        positive, negatives = positive.contiguous(), negatives.contiguous()
        losses, partitions = torch.empty_like(positive), positive.new_empty(len(positive), 2)
        labels = torch.tensor([label], dtype=torch.float32, device="cpu")
        call("emugraph_softmax_loss", positive, negatives, labels, *negatives.shape, losses, partitions)
        ctx.save_for_backward(positive, negatives, labels, partitions)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        positive, negatives, labels, partitions = ctx.saved_tensors
        by_positive, by_negatives = torch.empty_like(positive), torch.empty_like(negatives)
        inputs = (positive, negatives, labels, partitions, gradient.contiguous())
        call("emugraph_softmax_loss_backward", *inputs, *negatives.shape, by_positive, by_negatives)
        return by_positive, by_negatives, None
