"""How negatives lie around one positive: the EMU paper's Figure 5, with a measure of isotropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emugraph.analysis.negatives import check_kinds, draw, some_triples
from emugraph.errors import InputError
from emugraph.prediction.trained_model import TrainedModel

_POSITIVES = 100
"""Positives that the measures are means over."""


@dataclass(frozen=True)
class Clouds:
    """True tails and negatives around one positive, in the plane of the first two principal components.

    Args:
        triple: the positive, by ids.
        tails: all known tails of its head and relation, float32 (n, 2); the first is the positive's.
        negatives: for each kind float32 (K, 2).
        measures: for each kind, means over many positives: ``isotropy``, from 0 to 1, and ``distance``, the mean
            distance of negatives from the true tail over that of two random entities.
    """

    triple: tuple[int, int, int]
    tails: Tensor
    negatives: dict[str, Tensor]
    measures: dict[str, dict[str, float]]


def negative_clouds(
    trained: TrainedModel,
    triple: tuple[str | int, str | int, str | int] | None = None,
    kinds: Sequence[str] = ("uniform", "emu"),
    *,
    k: int = 500,
    mutation_rate: float = 0.6,
    hops: int = 2,
    seed: int = 0,
) -> Clouds:
    """Where negatives lie around the tail of a positive.

    The plane is that of the first two principal components of all entities. The isotropy of a cloud is the ratio of the
    smaller to the larger variance along its own two main axes in that plane: 1 where it is round, near 0 where it is
    a line. It is a mean over 100 training triples.

    Args:
        trained: the model; a :class:`emugraph.Run` is one.
        triple: the positive, by labels or ids; None for the training triple whose head and relation have most tails.
        kinds: "uniform", "sans", "emu" and "mixup".
        k: negatives of each kind, K.
        mutation_rate: of EMU.
        hops: of SANS.
        seed: of all random numbers.

    Raises:
        InputError: unknown labels or kinds, no training triples, or fewer than two entities.
    """
    check_kinds(kinds)
    kg, model = trained.kg, trained.model
    if kg.num_entities < 3:
        raise InputError(f"{kg.name} has {kg.num_entities} entities; a plane of them needs three")
    sample = some_triples(kg, "train", _POSITIVES, seed)
    chosen = _busiest(kg.train) if triple is None else trained.ids_of([triple])[0]
    entities = model.entities.detach().cpu()
    center = entities.mean(0)
    axes = torch.linalg.svd(entities - center, full_matrices=False).Vh[:2]  # (2, w)
    options = {"k": k, "mutation_rate": mutation_rate, "hops": hops}
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(kg.num_entities, (2, 10_000), generator=generator, device="cpu")
    usual = (entities[rows[0]] - entities[rows[1]]).norm(dim=1).mean()
    clouds, measures = {}, {}
    for kind in kinds:
        generator = torch.Generator().manual_seed(seed)
        _, negatives = draw(model, kg, chosen[None], kind, generator=generator, **options)  # type: ignore[arg-type]
        clouds[kind] = (negatives[0] - center) @ axes.T
        tails, negatives = draw(model, kg, sample, kind, generator=generator, **options)  # type: ignore[arg-type]
        planes = (negatives - center) @ axes.T  # (n, K, 2)
        measures[kind] = {
            "isotropy": torch.stack([_isotropy(plane) for plane in planes]).mean().item(),
            "distance": ((negatives - tails.unsqueeze(1)).norm(dim=-1).mean() / usual).item(),
        }
    known = kg.train[(kg.train[:, 0] == chosen[0]) & (kg.train[:, 1] == chosen[1]), 2]
    known = torch.cat([chosen[2:], known[known != chosen[2]].unique()])
    h, r, t = chosen.tolist()
    return Clouds((h, r, t), (entities[known] - center) @ axes.T, clouds, measures)


def _busiest(triples: Tensor) -> Tensor:
    """A triple of the head and relation that have most tails."""
    _, places, counts = triples[:, :2].unique(dim=0, return_inverse=True, return_counts=True)
    return triples[(places == counts.argmax()).nonzero()[0, 0]]


def _isotropy(points: Tensor) -> Tensor:
    """Smaller over larger variance along the main axes of points (K, 2)."""
    low, high = torch.linalg.eigvalsh(torch.cov(points.T)).clamp_min(0)
    return low / high.clamp_min(1e-30)
