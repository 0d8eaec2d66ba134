"""The compiled kernels as PyTorch functions with gradients."""

from emugraph.kernels.native.adagrad import adagrad_step
from emugraph.kernels.native.adam import adam_refresh, adam_step
from emugraph.kernels.native.library import available
from emugraph.kernels.native.pairs import (
    gathered,
    gathered_masked,
    pack_mask,
    pairwise,
    pairwise_masked,
    pairwise_mixed,
)
from emugraph.kernels.native.rows import count_better, softmax_loss

__all__ = [
    "adagrad_step",
    "adam_refresh",
    "adam_step",
    "available",
    "count_better",
    "gathered",
    "gathered_masked",
    "pack_mask",
    "pairwise",
    "pairwise_masked",
    "pairwise_mixed",
    "softmax_loss",
]
