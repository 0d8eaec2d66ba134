from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.decomposition import PCA

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.analysis import negative_clouds
from emugraph.analysis.pca import _isotropy
from emugraph.models import DistMult
from emugraph.prediction.trained_model import TrainedModel


def test_the_plane_is_that_of_the_main_components(grid: KnowledgeGraph) -> None:
    model = DistMult(grid.num_entities, grid.num_relations, 5)
    actual = negative_clouds(TrainedModel(grid, model), ("3,3", "right", "4,3"), k=20)
    assert actual.triple == (grid.entity_id("3,3"), grid.relations.id("right"), grid.entity_id("4,3"))
    plane = PCA(2).fit(model.entities.detach().numpy())
    expected = torch.from_numpy(plane.transform(model.entities[[actual.triple[2]]].detach().numpy()))
    assert actual.tails[0].abs().tolist() == pytest.approx(expected[0].abs().tolist(), abs=1e-4)  # up to signs
    assert actual.negatives["uniform"].shape == actual.negatives["emu"].shape == (20, 2)


def test_the_busiest_head_and_relation_are_taken_with_all_their_tails() -> None:
    triples = [("a", "r", "b"), ("c", "r", "d"), ("c", "r", "e"), ("c", "r", "e"), ("c", "s", "a"), ("b", "r", "a")]
    kg = KnowledgeGraph.from_triples(triples)
    actual = negative_clouds(TrainedModel(kg, DistMult(5, 2, 4)), k=10)
    assert (kg.entities[actual.triple[0]], kg.relations[actual.triple[1]]) == ("c", "r")
    assert len(actual.tails) == 2


def test_emu_lies_nearer_and_rounder(run_folder: Path) -> None:
    measures = negative_clouds(emugraph.load(run_folder), k=300).measures
    assert measures["emu"]["distance"] < 0.8 * measures["uniform"]["distance"]
    assert measures["uniform"]["distance"] == pytest.approx(1, abs=0.15)  # as far as any two entities


def test_isotropy_of_known_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    round_ = torch.randn(20_000, 2, generator=generator)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert _isotropy(round_).item() == pytest.approx(1, abs=0.05)
    assert _isotropy(round_ * torch.tensor([1.0, 0.5]) @ turn).item() == pytest.approx(0.25, abs=0.02)
    assert _isotropy(round_ * torch.tensor([1.0, 0.0])).item() == pytest.approx(0, abs=1e-6)


def test_mistakes(family: KnowledgeGraph) -> None:
    trained = TrainedModel(family, DistMult(5, 2, 4))
    with pytest.raises(InputError, match="unknown entity 'x'"):
        negative_clouds(trained, ("x", "parent", "bob"))
    with pytest.raises(InputError, match="unknown kind"):
        negative_clouds(trained, kinds=("x",))
    small = KnowledgeGraph.from_triples([("a", "r", "b")])
    with pytest.raises(InputError, match="a plane of them needs three"):
        negative_clouds(TrainedModel(small, DistMult(2, 1, 4)))
