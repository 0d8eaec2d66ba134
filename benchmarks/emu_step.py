"""One training step with EMU: factorised against materialised, and against a step without EMU.

    python -m benchmarks.emu_step [--rounds 15] [--json]

A step is forward, backward and update: B = 1000, K = 256 shared negatives, d = 100, N = 14,541 entities, R = 237, dense
Adam, 2 threads, freed memory kept at hand as by the command line. In each round every form takes its steps in turn, so
that a machine that gets slower slows all alike; times are medians over rounds, ratios are medians of a round's
ratios.

- ``speedup``: the step with mixed embeddings made (B x K x w numbers) over the factorised step;
- ``emu_cost``: the factorised step over the step of plain cross entropy;
- ``emu_cost_mask_each``: the same where each negative has a mask of its own (``mask_group`` 1), in place of
  the default, by which 16 consecutive ones share one.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.models import measure_models
from benchmarks.timing import interleave
from emugraph import KnowledgeGraph, Settings, Vocabulary
from emugraph.models import Model
from emugraph.mutation import draw_masks, materialized_scores
from emugraph.training.presets import PLAIN
from emugraph.training.trainer import Trainer

MODELS = ("distmult", "complex", "transe", "rotate")


def graph(entities: int = 14_541, relations: int = 237, triples: int = 272_115) -> KnowledgeGraph:
    """Random triples with the counts of FB15k-237."""
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(n, (triples,), generator=generator) for n in (entities, relations, entities)]
    labels = Vocabulary(map(str, range(entities))), Vocabulary(map(str, range(relations)))
    return KnowledgeGraph(*labels, torch.stack(columns, dim=1))


def materialized(
    model: Model,
    query: Tensor,
    positive: Tensor,
    negatives: Tensor,
    settings: Settings,
    generator: torch.Generator,
    index: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What :func:`emugraph.training.objective.negative_scores` does, with mixed embeddings made."""
    negatives, mask_group = (negatives, settings.mask_group) if index is None else (negatives[index], 1)
    masks = -(-negatives.shape[-2] // mask_group)
    mask = draw_masks(masks, model.num_components, settings.mutation_rate, generator)
    return materialized_scores(model, query, positive, negatives, mask, mask_group)


def measure(kg: KnowledgeGraph, name: str, rounds: int) -> dict[str, Any]:
    """Medians and ratios for one model."""
    device = torch.device("cpu")
    common: dict[str, Any] = {"model": name, "dim": 100, "batch_size": 1000, "negatives": 256}
    emu = Trainer(kg, Settings(**common), device)
    each = Trainer(kg, Settings(**common, mask_group=1), device)
    slow = Trainer(kg, Settings(**common), device)
    plain = Trainer(kg, Settings(**common, **PLAIN), device)

    def slow_step() -> None:
        with mock.patch("emugraph.training.trainer.negative_scores", materialized):
            slow.step()

    times = interleave(
        {
            "factorised": (emu.step, 10),
            "mask_each": (each.step, 10),
            "plain": (plain.step, 10),
            "materialised": (slow_step, 1),
        },
        rounds,
    )
    return {
        "speedup": times.ratio("materialised", "factorised", 1),
        "emu_cost": times.ratio("factorised", "plain"),
        "emu_cost_mask_each": times.ratio("mask_each", "plain"),
        **times.milliseconds(),
    }


def main() -> None:
    """Measure all models and print lines, or JSON."""
    torch.set_num_threads(2)
    measure_models(__doc__, measure, MODELS, "rounds", 15, graph())


if __name__ == "__main__":
    main()
