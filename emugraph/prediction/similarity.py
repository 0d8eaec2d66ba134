"""Entities whose embeddings resemble each other."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from emugraph.errors import InputError, nearest
from emugraph.evaluation.ranking import SCORE_BYTES
from emugraph.models import Model

Measure = Literal["cosine", "model"]


@torch.no_grad()
def most_similar(model: Model, entities: Tensor, k: int = 10, measure: str = "cosine") -> tuple[Tensor, Tensor]:
    """The k entities that resemble each of some most, itself left out.

    Args:
        model: the score function.
        entities: ids, int64 (n,).
        k: how many; all others where there are fewer.
        measure: "cosine", of the embeddings as rows of real numbers; or "model", the score of one embedding with the
            other in place of the query: minus the distance for TransE and RotatE, the (real part of the Hermitian)
            product for DistMult and ComplEx.

    Returns:
        ids int64 (n, k) and similarities float32 (n, k), the highest first, on the CPU.

    Raises:
        InputError: an unknown measure, or k below 1.
    """
    measures = get_args(Measure)
    if measure not in measures:
        raise InputError(f"unknown measure {measure!r}; known: {', '.join(measures)}.{nearest(measure, measures)}")
    if k < 1:
        raise InputError(f"{k} entities were asked for; at least one is needed")
    table: Tensor = model.entities
    if measure == "cosine":
        table = functional.normalize(table, dim=1)
    ids, values = [], []
    for some in entities.to(table.device).split(max(1, SCORE_BYTES // (4 * len(table)))):
        rows = table[some]
        similarities = rows @ table.T if measure == "cosine" else model.score(rows, table)  # (b, N)
        similarities[torch.arange(len(some), device=table.device), some] = -torch.inf
        top = similarities.topk(min(k, len(table) - 1), dim=1)
        ids.append(top.indices.cpu())
        values.append(top.values.cpu())
    return torch.cat(ids), torch.cat(values)
