from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.analysis import negative_similarities
from emugraph.models import DistMult
from emugraph.prediction.trained_model import TrainedModel


def test_emu_is_nearer_than_uniform_and_sans(run_folder: Path) -> None:
    """The claim of the paper's Figure 4, on a trained model."""
    summary = negative_similarities(emugraph.load(run_folder), positives=60, k=40).summary()
    assert summary["emu"]["mean"] > summary["uniform"]["mean"] + 0.3
    assert summary["emu"]["mean"] > summary["sans"]["mean"] + 0.2
    assert summary["emu"]["25 %"] > summary["uniform"]["75 %"]


def test_values_are_cosines(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 4)
    actual = negative_similarities(TrainedModel(grid, model), ("uniform",), positives=300, k=5, seed=1)
    values = actual.values["uniform"]
    assert values.shape == (84 * 5,)  # there are no more triples
    rows = torch.nn.functional.normalize(model.entities.detach(), dim=1)
    every = (rows @ rows.T).flatten()
    assert (values.unsqueeze(1) - every).abs().min(1).values.max() < 1e-5
    summary = actual.summary()["uniform"]
    assert summary["mean"] == pytest.approx(values.mean().item())
    assert summary["95 %"] == pytest.approx(np.quantile(values.numpy(), 0.95))


def test_a_mutation_rate_of_1_is_the_positive_itself(grid: KnowledgeGraph) -> None:
    trained = TrainedModel(grid, DistMult(grid.num_entities, grid.num_relations, 4))
    whole = negative_similarities(trained, ("emu",), mutation_rate=1.0, positives=10, k=3).values["emu"]
    assert whole.tolist() == pytest.approx([1.0] * 30)
    none = negative_similarities(trained, ("emu", "uniform"), mutation_rate=0.0, positives=10, k=3).values
    assert torch.equal(none["emu"], none["uniform"])


def test_unknown_kinds(grid: KnowledgeGraph) -> None:
    trained = TrainedModel(grid, DistMult(grid.num_entities, grid.num_relations, 4))
    with pytest.raises(InputError, match="unknown kind of negatives 'mix'; known: uniform, sans, emu, mixup. Did you"):
        negative_similarities(trained, ("mix",))
