"""Losses over the score of a positive and the scores of its negatives.

All take scores of positives (B,) and of their negatives (B, K), and return the mean over the batch, a scalar.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from emugraph.kernels import softmax_loss

Labels = Literal["unbounded", "smoothed"]


def cross_entropy(positive: Tensor, negatives: Tensor) -> Tensor:
    """Softmax cross entropy with one-hot labels: the positive is the one right class."""
    return softmax_loss(positive, negatives).mean()


def label_smoothing(positive: Tensor, negatives: Tensor, beta: float) -> Tensor:
    r"""Eq. 3: cross entropy with smoothed labels that sum to one.

    .. math:: y_k = \hat y_k (1 - \beta) + \beta / C

    over the C = K + 1 classes (the positive and its negatives). Szegedy et al., "Rethinking the Inception
    Architecture for Computer Vision", CVPR 2016.
    """
    smooth = beta / (negatives.shape[1] + 1)
    true = 1 - beta + smooth
    return true * softmax_loss(positive, negatives, smooth / true).mean()


def unbounded_label_smoothing(positive: Tensor, negatives: Tensor, beta: float) -> Tensor:
    r"""Eq. 4: cross entropy with the label 1 for the positive and :math:`\beta` for every negative, not normalised.

    .. math:: -\log p_+ - \beta \sum_k \log p_k

    Its gradient by score k is :math:`(1 + \beta K) p_k - y_k`, so that it is lowest where the positive is ahead of
    every negative by :math:`-\ln \beta` and no further.
    """
    return softmax_loss(positive, negatives, beta).mean()


def emu_objective(
    positive: Tensor,
    mutated: Tensor,
    plain: Tensor,
    *,
    beta: float,
    alpha: float,
    labels: Labels = "unbounded",
    divide_by_negatives: bool = True,
) -> Tensor:
    r"""Eq. 5: smoothed cross entropy over mutated negatives plus plain cross entropy over unmutated ones.

    .. math:: L = L_{CE}(s_+, s^{mut}; y^{ULS}) / K + \alpha \, L_{CE}(s_+, s; \hat y)

    Args:
        positive: scores of the positives, (B,).
        mutated: scores of mutated negatives, (B, K).
        plain: scores of unmutated negatives, (B, K'); they may be the same negatives.
        beta: label of a mutated negative.
        labels: "unbounded" (Eq. 4), or "smoothed" (Eq. 3) for comparison.
        alpha: weight of the second term; at 0 it is left out.
        divide_by_negatives: divide the first term by K, as the authors' code does and the paper's text does not say.
    """
    smoothing = unbounded_label_smoothing if labels == "unbounded" else label_smoothing
    loss = smoothing(positive, mutated, beta)
    if divide_by_negatives:
        loss = loss / mutated.shape[1]
    return loss + alpha * cross_entropy(positive, plain) if alpha else loss


class EMULoss(nn.Module):
    """Eq. 5 as a module, for a training loop of one's own; see :func:`emu_objective`.

    >>> import torch
    >>> from emugraph.losses import EMULoss
    >>> loss = EMULoss(beta=0.53, alpha=0.11)
    >>> loss(torch.zeros(4), torch.zeros(4, 8), torch.zeros(4, 8)).item() > 0
    True
    """

    def __init__(self, beta: float = 0.53, alpha: float = 0.11, divide_by_negatives: bool = True) -> None:
        super().__init__()
        self.beta = beta
        self.alpha = alpha
        self.divide_by_negatives = divide_by_negatives

    def forward(self, positive: Tensor, mutated: Tensor, plain: Tensor) -> Tensor:
        """The objective of positives (B,), mutated (B, K) and plain negatives (B, K)."""
        return emu_objective(
            positive,
            mutated,
            plain,
            beta=self.beta,
            alpha=self.alpha,
            divide_by_negatives=self.divide_by_negatives,
        )

    def extra_repr(self) -> str:
        return f"beta={self.beta}, alpha={self.alpha}, divide_by_negatives={self.divide_by_negatives}"


def self_adversarial(
    positive: Tensor, negatives: Tensor, *, margin: float, temperature: float, beta: float = 0.0
) -> Tensor:
    r"""Log-sigmoid loss whose negatives weigh the more the higher the model scores them.

    .. math:: -\log\sigma(\gamma + s_+) - \sum_k w_k (\beta \log\sigma(s_k + \gamma) +
        (1 - \beta) \log\sigma(-s_k - \gamma)), \quad w = \operatorname{softmax}(T s), \text{ without gradient}

    halved. Sun et al., "RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space", ICLR 2019, without
    their weights for frequent triples. The margin is meant for distances; with products it is 0.
    """
    weights = torch.softmax(temperature * negatives.detach(), dim=1)
    push = (weights * _binary(negatives + margin, beta)).sum(dim=1)
    return ((functional.softplus(-positive - margin) + push) / 2).mean()


def margin_ranking(positive: Tensor, negatives: Tensor, *, margin: float, beta: float = 0.0) -> Tensor:
    """Each negative is to score lower than its positive by the margin; the mean of what is lacking, over K too.

    Of a negative with the label ``beta`` only the share ``1 - beta`` of the margin is required. Bordes et al.,
    "Translating Embeddings for Modeling Multi-relational Data", NeurIPS 2013.
    """
    return (negatives - positive.unsqueeze(1) + (1 - beta) * margin).clamp_min(0).mean()


def binary_cross_entropy(positive: Tensor, negatives: Tensor, *, margin: float = 0.0, beta: float = 0.0) -> Tensor:
    r"""Each triple by itself is true or false: the positive's term plus the mean of its negatives' terms.

    .. math:: -\log\sigma(\gamma + s_+) - \frac1K \sum_k (\beta \log\sigma(\gamma + s_k) +
        (1 - \beta) \log\sigma(-\gamma - s_k))

    Scores that are minus a distance are never positive and need the margin; products do not.
    """
    return (functional.softplus(-positive - margin) + _binary(negatives + margin, beta).mean(dim=1)).mean()


def _binary(scores: Tensor, label: float) -> Tensor:
    """Binary cross entropy of each score with one label for all."""
    return functional.softplus(scores) - label * scores


def power_penalty(rows: Tensor, power: float) -> Tensor:
    """The sum of ``|x|**power`` over each row, averaged over rows (n, w).

    Over the embeddings of a triple with the power 3 it is N3 by components (Lacroix et al., "Canonical Tensor
    Decomposition for Knowledge Base Completion", ICML 2018). Over query and answer with the power 2 it is what stands
    beside the product in minus the squared distance of the two, ``2 q t - |q|**2 - |t|**2``: for queries about
    tails and heads in turn DURA, halved (Zhang et al., "Duality-Induced Regularizer for Tensor Factorization Based
    Knowledge Graph Completion", NeurIPS 2020), and with reciprocal relations its half for the target's side.
    """
    return rows.abs().pow(power).sum(-1).mean()
