"""How near negatives are to their positive: the EMU paper's Figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from emugraph.analysis.negatives import KINDS, check_kinds, draw, some_triples
from emugraph.prediction.trained_model import TrainedModel

_BLOCK = 256
"""Positives at one time."""


@dataclass(frozen=True)
class Similarities:
    """Cosine similarities between true tails and negatives in their place.

    Args:
        values: for each kind of negatives the similarities, float32 (n * K,).
    """

    values: dict[str, Tensor]

    def summary(self) -> dict[str, dict[str, float]]:
        """For each kind the mean, and the 5th, 25th, 50th, 75th and 95th percentile."""
        shares = {"5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95}
        return {
            kind: {"mean": values.mean().item()}
            | {name: float(np.quantile(values.numpy(), share)) for name, share in shares.items()}
            for kind, values in self.values.items()
        }


def negative_similarities(
    trained: TrainedModel,
    kinds: Sequence[str] = KINDS,
    *,
    positives: int = 1000,
    k: int = 64,
    mutation_rate: float = 0.6,
    hops: int = 2,
    split: str = "train",
    seed: int = 0,
) -> Similarities:
    """Cosine similarities of negatives with the true tail, on the embeddings of a trained model.

    Args:
        trained: the model; a :class:`emugraph.Run` is one.
        kinds: "uniform", "sans" (from the k-hop neighbourhood), "emu" and "mixup".
        positives: how many triples to look at, n.
        k: negatives for each, K.
        mutation_rate: of EMU.
        hops: of SANS.
        split: the split that the triples are from.
        seed: of all random numbers.

    Raises:
        InputError: an unknown kind, or an empty split.
    """
    check_kinds(kinds)
    triples = some_triples(trained.kg, split, positives, seed)
    values = {}
    for kind in kinds:
        generator = torch.Generator().manual_seed(seed)
        parts = []
        for some in triples.split(_BLOCK):
            tails, negatives = draw(
                trained.model, trained.kg, some, kind, k,
                mutation_rate=mutation_rate, hops=hops, generator=generator,
            )  # fmt: skip
            parts.append(functional.cosine_similarity(tails.unsqueeze(1), negatives, dim=-1).flatten())
        values[kind] = torch.cat(parts)
    return Similarities(values)
