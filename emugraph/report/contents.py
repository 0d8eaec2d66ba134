"""What a report shows, as plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emugraph.analysis.similarity import Similarities, negative_similarities
from emugraph.data.graph import KnowledgeGraph
from emugraph.errors import EmugraphError, InputError
from emugraph.evaluation.breakdown import Rankings
from emugraph.models import model_class
from emugraph.prediction.queries import Prediction
from emugraph.runs.folder import ENVIRONMENT, LOG, RunFolder
from emugraph.runs.run import Run
from emugraph.types import SIDES

RELATIONS = 20
"""Relations that have bars, those with most test triples."""

PLACES = 1500
"""Entities on the map, those with most training triples."""

GROUPS = 7
"""Colours on the map, besides that of the rest."""

EXAMPLES = 6
"""Queries answered rightly, and as many wrongly."""


POSITIVES = 500
"""Training triples whose negatives are looked at."""


@dataclass(frozen=True)
class Described:
    """One run.

    Args:
        name: its folder's name.
        title: the model and how it was trained, in words.
        settings: the settings that ran.
        metrics: the final metrics.
        curve: steps and validation MRR.
        losses: steps and training loss.
        groups: metrics by relation, see :meth:`Rankings.by`; all of them first.
        environment: versions and machine.
    """

    name: str
    title: str
    settings: dict[str, Any]
    metrics: dict[str, Any]
    curve: list[tuple[float, float]]
    losses: list[tuple[float, float]]
    groups: list[dict[str, Any]]
    environment: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """An entity on the map: its label for a reader, where it is (0 to 1 each way), and the number of its colour."""

    label: str
    x: float
    y: float
    group: int


@dataclass(frozen=True)
class Example:
    """A test query: its text with ? for the target, the true answer, its rank, and the best answers."""

    target: str
    true: str
    rank: float
    answers: list[tuple[str, bool]]
    """The best answers in words, and whether each is the true one."""


@dataclass(frozen=True)
class Contents:
    """All that a report shows. Map, similarities and examples are of the first run."""

    dataset: dict[str, Any]
    split: str
    runs: list[Described]
    similarities: Similarities
    map: list[Place]
    map_groups: list[str]
    right: list[Example]
    wrong: list[Example]


def collect(runs: Sequence[Run], *, split: str = "test", advance: Callable[[int], None] | None = None) -> Contents:
    """Rank a split with each run, and gather what a report shows.

    Args:
        runs: of one graph.
        split: the split that is ranked.
        advance: called with the number of rankings done since the last call.

    Raises:
        InputError: no runs, runs of different graphs, or an empty split.
    """
    if not runs:
        raise InputError("a report needs a run")
    first = runs[0]
    for run in runs[1:]:
        same = run.kg.entities == first.kg.entities and run.kg.relations == first.kg.relations
        if not same or not torch.equal(run.kg.triples(split), first.kg.triples(split)):
            raise InputError(f"{first.path} and {run.path} are of different graphs; make a report of each")
    rankings = [run.rankings(split, advance=advance) for run in runs]
    names = _distinct([run.path.resolve().name for run in runs])
    described = [_describe(run, name, of) for run, name, of in zip(runs, names, rankings, strict=True)]
    places, groups = _map(first)
    right, wrong = _examples(first, rankings[0])
    rate = first.settings.mutation_rate
    return Contents(
        first.kg.summary(), split, described, negative_similarities(first, mutation_rate=rate, positives=POSITIVES),
        places, groups, right, wrong,
    )  # fmt: skip


def _distinct(names: list[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


def _describe(run: Run, name: str, rankings: Rankings) -> Described:
    folder = RunFolder.open(run.path)
    records = _log(run)
    settings = run.settings
    method = {"emu": "EMU", "mixup": "MIXUP"}.get(settings.mixing, "EMU's labels alone" if settings.beta else "plain")
    title = f"{model_class(settings.model).title}, {method}, d = {settings.dim}, {settings.sampler} negatives"
    return Described(
        name,
        title,
        settings.model_dump(),
        run.metrics,
        [(r["step"], r["mrr"]) for r in records if r.get("type") == "validation"],
        [(r["step"], r["loss"]) for r in records if r.get("type") == "training"],
        rankings.by("relation"),
        folder.read_json(ENVIRONMENT) if folder.has(ENVIRONMENT) else {},
    )


def _log(run: Run) -> list[dict[str, Any]]:
    path = run.path / LOG
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise EmugraphError(f"cannot read {path}: {error}") from error


def _map(run: Run) -> tuple[list[Place], list[str]]:
    """The most frequent entities in the plane of their first two principal components, and the colours' names."""
    kg = run.kg
    ends = kg.train[:, [0, 2]].flatten()
    counts = torch.bincount(ends, minlength=kg.num_entities)
    chosen = torch.argsort(counts, descending=True, stable=True)[:PLACES]
    rows = run.model.entities.detach().cpu()[chosen]
    rows = rows - rows.mean(0)
    plane = rows @ torch.linalg.svd(rows, full_matrices=False).Vh[:2].T  # (n, 2)
    low, high = plane.min(0).values, plane.max(0).values
    plane = (plane - low) / (high - low).clamp_min(1e-12)
    groups, names = _roles(kg, chosen)
    places = [
        Place(kg.display(i), x, y, group)
        for i, (x, y), group in zip(chosen.tolist(), plane.tolist(), groups, strict=True)
    ]
    return places, names


def _roles(kg: KnowledgeGraph, chosen: Tensor) -> tuple[list[int], list[str]]:
    """For each entity the number of the place in triples where it stands most, and what the numbers mean; the last is
    for all that are not among the most frequent."""
    places = torch.cat([kg.train[:, [0, 1]], torch.stack([kg.train[:, 2], kg.train[:, 1] + kg.num_relations], dim=1)])
    pairs, counts = places.unique(dim=0, return_counts=True)
    order = torch.argsort(counts, stable=True)  # so that the most frequent place of each is written last
    most = torch.full((kg.num_entities,), -1, device="cpu")
    for entity, place in pairs[order].tolist():
        most[entity] = place
    others = most[chosen]
    kinds, sizes = others.unique(return_counts=True)
    kept = kinds[torch.argsort(sizes, descending=True, stable=True)][:GROUPS].tolist()
    names = [f"{'head' if p < kg.num_relations else 'tail'} of {kg.relations[p % kg.num_relations]}" for p in kept]
    return [kept.index(p) if p in kept else len(kept) for p in others.tolist()], [*names, "others"]


def _examples(run: Run, rankings: Rankings) -> tuple[list[Example], list[Example]]:
    """Some queries whose true answer ranks first, and some whose rank is beyond 10 (or the worst there are)."""
    flat = rankings.ranks.flatten()
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(flat), generator=generator, device="cpu")
    best = order[flat[order] == 1][:EXAMPLES]
    beyond = order[flat[order] > 10]
    worst = (beyond if len(beyond) else order[flat[order] > 1])[:EXAMPLES]
    return _worded(run, rankings, best.tolist()), _worded(run, rankings, worst.tolist())


def _worded(run: Run, rankings: Rankings, places: list[int]) -> list[Example]:
    kg, examples = run.kg, []
    for place in places:
        (h, r, t), side = rankings.triples[place // 2].tolist(), SIDES[place % 2]
        relation, head, tail = kg.relations[r], kg.display(h), kg.display(t)
        if side == "tail":
            text, true, query = f"{head}, {relation}, ?", t, (h, r, None)
        else:
            text, true, query = f"?, {relation}, {tail}", h, (None, r, t)
        answers = run.predict([query], k=3, without=("train", "valid"))
        named = [(_name(answer, side), getattr(answer, side) == kg.entities[true]) for answer in answers]
        examples.append(Example(text, kg.display(true), rankings.ranks.flatten()[place].item(), named))
    return examples


def _name(answer: Prediction, side: str) -> str:
    label, name = getattr(answer, side), getattr(answer, f"{side}_name")
    return label if name is None or name == label else f"{label} ({name})"
