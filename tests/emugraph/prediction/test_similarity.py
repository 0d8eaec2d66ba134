from __future__ import annotations

import pytest
import torch

from emugraph import InputError, KnowledgeGraph
from emugraph.models import MODELS, DistMult, Model, RotatE, TransE
from emugraph.prediction.similarity import most_similar
from emugraph.prediction.trained_model import TrainedModel


@pytest.mark.parametrize("cls", MODELS.values())
def test_both_measures_are_those_of_plain_loops(cls: type[Model]) -> None:
    model = cls(9, 2, 4, init_scale=1.0)
    rows = model.entities.detach()
    for measure in ("cosine", "model"):
        ids, values = most_similar(model, torch.tensor([3, 7]), 4, measure)
        for place, entity in enumerate((3, 7)):
            if measure == "cosine":
                each = {i: torch.cosine_similarity(rows[entity], rows[i], dim=0).item() for i in range(9)}
            else:
                each = {i: model.link(model.components(rows[entity], rows[i]).sum()).item() for i in range(9)}
            del each[entity]
            expected = sorted(each, key=lambda i: -each[i])[:4]
            assert ids[place].tolist() == expected
            assert values[place].tolist() == pytest.approx([each[i] for i in expected], abs=1e-5)


def test_the_models_own_measure_in_words() -> None:
    transe, rotate = TransE(2, 1, 2), RotatE(2, 1, 2)
    transe.entities.data = torch.tensor([[0.0, 0.0], [3.0, -4.0]])
    assert most_similar(transe, torch.tensor([0]), measure="model")[1].item() == -7
    rotate.entities.data = torch.tensor([[0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 4.0, 1.0]])
    assert most_similar(rotate, torch.tensor([0]), measure="model")[1].item() == pytest.approx(-6)


def test_labels_names_and_mistakes(family: KnowledgeGraph) -> None:
    family.entity_names = ["Ann", "Bob", None, None, None]
    trained = TrainedModel(family, DistMult(5, 2, 4))
    rows = trained.similar(["Ann", "dan"], k=9)
    assert [row.entity for row in rows] == ["ann"] * 4 + ["dan"] * 4
    assert [row.rank for row in rows] == [1, 2, 3, 4] * 2
    assert {row.other: row.name for row in rows} == {"ann": "Ann", "bob": "Bob", "cat": None, "dan": None, "eve": None}
    with pytest.raises(InputError, match="unknown entity 'anne'"):
        trained.similar("anne")
    with pytest.raises(InputError, match="unknown measure 'cosinus'.*Did you mean 'cosine'"):
        trained.similar("ann", measure="cosinus")
    with pytest.raises(InputError, match="at least one"):
        trained.similar("ann", k=0)
