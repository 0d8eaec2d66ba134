"""Probabilities of answers, fitted on validation triples, and how far they can be relied on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emugraph.errors import InputError
from emugraph.prediction.top_k import Predictor
from emugraph.types import COLUMN, SPLITS, Part

QUERIES = 4000
"""At most so many triples are used to fit, or to see how it fits, a fixed random sample."""

_LOWEST, _WIDTH = -30.0, 0.02
"""Log shares are counted in bins of this width, from the lowest on, and all that are below it together."""


@dataclass(frozen=True)
class Calibration:
    """Turns an answer's share of its query's candidates into a probability, by a line through points that ascend.

    The probability is that of being one of the answers which the validation triples have and the training triples do
    not, among all candidates of such queries. A query whose answers are all known promises nothing of the sort, so
    that probabilities are to be compared within a query, or between queries that are known to lack an answer.

    Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD 2002; for
    link prediction: Safavi, Koutra and Meij, "Evaluating the Calibration of Knowledge Graph Embeddings for Trustworthy
    Link Prediction", EMNLP 2020.

    Args:
        shares: log shares, ascending.
        values: the probabilities there, ascending.
        queries: how many queries it was fitted on.

    Raises:
        ValueError: the points do not ascend, or the values are no probabilities.
    """

    shares: list[float]
    values: list[float]
    queries: int

    def __post_init__(self) -> None:
        for points in (self.shares, self.values):
            if not points or sorted(points) != points or not np.isfinite(points).all():
                raise ValueError(f"{points!r:.80} are not points that ascend")
        if len(self.shares) != len(self.values) or not 0 <= self.values[0] <= self.values[-1] <= 1:
            raise ValueError(f"{self.values!r:.80} are not probabilities of {len(self.shares)} points")

    def probabilities(self, shares: Tensor) -> Tensor:
        """Probabilities of log shares, float64 of the same shape; beyond the ends, those of the ends."""
        return torch.from_numpy(np.interp(shares.cpu().numpy(), self.shares, self.values))


def fit(
    predictor: Predictor, parts: tuple[Part, ...] = ("tail", "head"), *, split: str = "valid"
) -> Calibration | None:
    """Fit probabilities to the answers of a split, by isotonic regression over all candidates of its queries.

    Args:
        predictor: of the model.
        parts: the targets.
        split: the split; its triples that training has too are no answers to find.

    Returns:
        None where there is nothing to fit on: the split has no answers that training lacks, or none with a share that
        is a finite number.
    """
    from scipy.optimize import isotonic_regression

    candidates, answers, queries = np.zeros(1 + _bins()), np.zeros(1 + _bins()), 0
    for part in parts:
        batch = _queries(predictor, split, part)
        queries += len(batch)
        known = predictor.known(split, part, batch)
        for block in predictor.blocks(batch, part):
            shares = block.scores.sub_(block.totals[:, None])
            candidates += _histogram(shares)
            answers += _histogram(shares[known(block.queries)])
    if not answers.sum():
        return None
    there = candidates > 0
    middles = _LOWEST + _WIDTH * (np.arange(_bins()) + 0.5)
    at, weights = np.append(_LOWEST, middles)[there], candidates[there]
    fitted = isotonic_regression(answers[there] / weights, weights=weights)
    starts = fitted.blocks[:-1]  # of stretches with one value
    if there[0] and fitted.blocks[1] > 1:
        weights[0] = 0  # what lies below the bins has no place of its own: its stretch stands where the others in it do
    mass = np.add.reduceat(weights, starts)
    return Calibration((np.add.reduceat(at * weights, starts) / mass).tolist(), fitted.x[starts].tolist(), queries)


def reliability(
    predictor: Predictor, calibration: Calibration, split: str = "test", *, k: int = 10, bins: int = 10
) -> dict[str, Any]:
    """What probabilities promise and what is observed, among the k best answers to a split's queries.

    Known answers of the splits before it are left out.

    Args:
        predictor: of the model.
        calibration: its probabilities.
        split: whose answers are looked for; one other than it was fitted on.
        k: how many answers of each query are looked at.
        bins: into how many parts of equal width probabilities are divided.

    Returns:
        ``bins``: for each that is not empty ``from`` and ``to``, ``answers`` in it, their mean ``probability``, and the
        share ``observed`` in the split; ``expected_calibration_error``: the mean difference of the two, weighted by
        answers; ``brier``: the mean squared difference between probability and truth; ``answers`` looked at.

    Raises:
        InputError: the split is empty.
    """
    place = SPLITS.index(split) + 1
    promised, observed = [], []
    for part in ("tail", "head"):
        answers = predictor.answer(_queries(predictor, split, part), part, k, without=SPLITS[: place - 1])
        there = answers.ids >= 0
        promised.append(calibration.probabilities(answers.shares[there]).double())
        observed.append((answers.known[there] == place).double())
    p, true = torch.cat(promised), torch.cat(observed)
    if not len(p):
        raise InputError(f"the {split} split of {predictor.kg.name} is empty; there is nothing to compare with")
    which = (p * bins).long().clamp_max(bins - 1)
    rows = []
    for number in which.unique().tolist():
        members = which == number
        rows.append({
            "from": number / bins,
            "to": (number + 1) / bins,
            "answers": int(members.sum()),
            "probability": p[members].mean().item(),
            "observed": true[members].mean().item(),
        })  # fmt: skip
    error = sum(row["answers"] * abs(row["probability"] - row["observed"]) for row in rows) / len(p)
    brier = (p - true).square().mean().item()
    return {"bins": rows, "expected_calibration_error": error, "brier": brier, "answers": len(p)}


def _queries(predictor: Predictor, split: str, part: Part) -> Tensor:
    """The distinct queries that a sample of a split answers, (n, 3); 0 stands for the target."""
    triples = predictor.kg.triples(split)
    if len(triples) > QUERIES:
        triples = triples[
            torch.randperm(len(triples), generator=torch.Generator().manual_seed(0), device="cpu")[:QUERIES]
        ]
    triples = triples.clone()
    triples[:, COLUMN[part]] = 0
    return triples.unique(dim=0)


def _bins() -> int:
    return round(-_LOWEST / _WIDTH)


def _histogram(shares: Tensor) -> np.ndarray:
    """How many log shares are below the bins, and how many in each; -inf, what training has, and NaN are nowhere."""
    shares = shares.flatten().cpu()
    below = torch.count_nonzero(shares < _LOWEST) - torch.count_nonzero(shares == -torch.inf)
    return np.append(below.item(), shares.histc(_bins(), _LOWEST, 0.0).double().numpy())
