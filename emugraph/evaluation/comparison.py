"""Two models on the same triples: is the difference between them more than chance, and where is it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.evaluation.breakdown import Rankings, interval
from emugraph.evaluation.ranking import HITS
from emugraph.types import SIDES

PERMUTATIONS = 4999


def compare(first: Rankings, second: Rankings, *, changed: int = 10) -> dict[str, Any]:
    """How the second's metrics differ from the first's, on the same triples.

    Args:
        first: of one model.
        second: of another.
        changed: how many of the rankings that changed most to list.

    Returns:
        ``triples``; for ``mrr`` and each ``hits@k``: ``first``, ``second``, their ``difference`` (second - first),
        ``low`` and ``high``, the bounds of its 95 % interval (bootstrap over triples), and ``p_value``, two-sided, of
        the test that exchanges the two models triple by triple at random; ``better``, ``worse`` and ``equal``: how many
        rankings; ``changed``: rows with ``head``, ``relation``, ``tail`` (ids), ``side``, and the ranks ``first`` and
        ``second``, by the difference of their inverse.

    Raises:
        InputError: they are not of the same triples.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; Dror et al., "The Hitchhiker's Guide to Testing
    Statistical Significance in Natural Language Processing", ACL 2018.
    """
    same = first.kg.entities == second.kg.entities and first.kg.relations == second.kg.relations
    if not same or not torch.equal(first.triples, second.triples):
        raise InputError("the two are of different triples or graphs; only rankings of the same can be compared")
    values = {"mrr": (first.ranks.reciprocal(), second.ranks.reciprocal())}
    values |= {f"hits@{k}": ((first.ranks <= k).double(), (second.ranks <= k).double()) for k in HITS}
    metrics: dict[str, Any] = {"triples": len(first.triples)}
    metrics |= {name: _difference(*pair) for name, pair in values.items()}
    metrics["better"], metrics["worse"] = (
        int((first.ranks > second.ranks).sum()),
        int((first.ranks < second.ranks).sum()),
    )
    metrics["equal"] = first.ranks.numel() - metrics["better"] - metrics["worse"]
    gain = values["mrr"][1] - values["mrr"][0]  # (n, 2)
    most = torch.argsort(gain.abs().flatten(), descending=True, stable=True)[:changed]
    metrics["changed"] = [
        dict(zip(("head", "relation", "tail"), first.triples[place // 2].tolist(), strict=True))
        | {"side": SIDES[place % 2], "first": _rank(first, place), "second": _rank(second, place)}
        for place in most.tolist()
        if gain.flatten()[place] != 0
    ]
    return metrics


def _rank(rankings: Rankings, place: int) -> float:
    return rankings.ranks.flatten()[place].item()


def _difference(first: Tensor, second: Tensor) -> dict[str, float | None]:
    """Metrics (n, 2) against others, triple by triple."""
    a, b = first.mean(1).numpy(), second.mean(1).numpy()
    low, high = interval(b - a, np.ones(len(a)))
    means: dict[str, float | None] = {"first": float(a.mean()), "second": float(b.mean())}
    return means | {"difference": float((b - a).mean()), "low": low, "high": high, "p_value": _p_value(a, b)}


def _p_value(a: np.ndarray, b: np.ndarray) -> float | None:
    from scipy import stats

    if len(a) < 2:
        return None
    test = stats.permutation_test(
        (a, b), lambda x, y, axis: (y - x).mean(axis=axis), permutation_type="samples", vectorized=True,
        n_resamples=PERMUTATIONS, batch=max(1, 2**20 // len(a)), rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(test.pvalue)
