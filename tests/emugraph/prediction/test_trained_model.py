from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.models import ComplEx, DistMult, Model
from emugraph.prediction.calibration import Calibration
from emugraph.prediction.queries import NewTriple, Prediction
from emugraph.prediction.trained_model import TrainedModel

Models = Callable[..., Model]


@pytest.fixture
def trained(family: KnowledgeGraph, model_for: Models) -> TrainedModel:
    family.entity_names = ["Ann", "Bob", None, "Dan", "Eve"]
    return TrainedModel(family, model_for(family, ComplEx))


def test_tails_in_words(trained: TrainedModel) -> None:
    kg = trained.kg
    answers = trained.predict_tails("ann", "parent", k=5)
    scores = trained.score([("ann", "parent", label) for label in kg.entities])
    assert [a.tail for a in answers] == [kg.entities[i] for i in scores.argsort(descending=True).tolist()]
    assert [a.rank for a in answers] == [1, 2, 3, 4, 5]
    assert [a.score for a in answers] == pytest.approx(scores.sort(descending=True).values.tolist())
    by_tail = {a.tail: a for a in answers}
    assert (by_tail["bob"].known, by_tail["cat"].known, by_tail["eve"].known) == ("train", "train", None)
    assert {(a.head, a.relation, a.target, a.head_name) for a in answers} == {("ann", "parent", "tail", "Ann")}
    assert (by_tail["bob"].tail_name, by_tail["cat"].tail_name) == ("Bob", None)


def test_heads_and_relations_in_words(trained: TrainedModel) -> None:
    heads = trained.predict_heads("parent", "dan", k=5)
    scores = trained.score([(label, "parent", "dan") for label in trained.kg.entities])
    assert [a.head for a in heads] == [trained.kg.entities[i] for i in scores.argsort(descending=True).tolist()]
    assert {a.head: a.known for a in heads} == {"ann": None, "bob": "train", "cat": "valid", "dan": None, "eve": None}
    relations = trained.predict_relations("ann", "bob")
    assert [a.relation for a in relations] == sorted(
        trained.kg.relations, key=lambda r: -trained.score([("ann", r, "bob")]).item()
    )


def test_names_and_ids_serve_as_labels(trained: TrainedModel) -> None:
    assert trained.predict_tails("Ann", 0, k=2) == trained.predict_tails(0, "parent", k=2)
    assert trained.score([("Bob", "parent", 3)]).equal(trained.score(torch.tensor([[1, 0, 3]])))


def test_known_answers_are_left_out(trained: TrainedModel) -> None:
    new = trained.predict_tails("ann", "parent", k=5, new_only=True)
    assert {a.tail for a in new} == {"ann", "dan", "eve"}
    assert [a.rank for a in new] == [1, 2, 3]
    assert "dan" in {a.tail for a in trained.predict_tails("cat", "parent", k=5, without=["train"])}
    assert "dan" not in {a.tail for a in trained.predict_tails("cat", "parent", k=5, without=["valid"])}


def test_queries_of_all_kinds_are_answered_in_order(trained: TrainedModel) -> None:
    queries = [("ann", "parent", None), (None, "sibling", "bob"), ("bob", None, "dan"), ("cat", "parent", None)]
    answers = trained.predict(queries, k=2)
    assert [a.target for a in answers] == ["tail"] * 2 + ["head"] * 2 + ["relation"] * 2 + ["tail"] * 2
    assert answers[6].tail == trained.predict_tails("cat", "parent", k=1)[0].tail


def test_one_value_serves_several(trained: TrainedModel) -> None:
    both = trained.predict_tails(["ann", "bob"], "parent", k=1)
    alone = trained.predict_tails("ann", "parent", k=1) + trained.predict_tails("bob", "parent", k=1)
    assert [answer[:3] for answer in both] == [answer[:3] for answer in alone]
    assert [a.relation for a in trained.predict_heads(["parent", "sibling"], "dan", k=1)] == ["parent", "sibling"]
    with pytest.raises(InputError, match="2 and 3 were given"):
        trained.predict_tails(["ann", "bob"], ["parent"] * 3)


def test_probabilities_and_where_there_are_none(grid: KnowledgeGraph, model_for: Models) -> None:
    trained = TrainedModel(grid, model_for(grid, DistMult))
    p = [a.probability for a in trained.predict_tails("0,0", "right", k=60)]
    assert all(0 <= value <= 1 for value in p)
    assert trained.reliability()["answers"] == 20 * 10
    grid = KnowledgeGraph(grid.entities, grid.relations, grid.train)
    trained = TrainedModel(grid, model_for(grid, DistMult))
    assert {a.probability for a in trained.predict_tails("0,0", "right")} == {None}
    assert trained.predict_triples("right", 3)[0].tail_probability is None
    with pytest.raises(InputError, match="no validation triples"):
        trained.reliability()


def test_scores_beyond_all_numbers_have_no_probabilities(grid: KnowledgeGraph, model_for: Models) -> None:
    model = model_for(grid, DistMult)
    model.entities.data.fill_(1e30)
    model.relations.data.fill_(1.0)
    trained = TrainedModel(grid, model)
    assert trained.calibrations == (None, None)
    assert {a.probability for a in trained.predict_tails("0,0", "right")} == {None}
    assert {a.probability for a in trained.predict_relations("0,0", "1,0")} == {None}
    with pytest.raises(InputError, match=r"^grid has no validation triples to fit probabilities on[^.]*$"):
        trained.reliability()


def test_each_kind_of_answer_has_probabilities_by_itself(grid: KnowledgeGraph, model_for: Models) -> None:
    trained = TrainedModel(grid, model_for(grid, DistMult), (None, Calibration([0.0], [0.25], 1)))
    assert {a.probability for a in trained.predict_tails("0,0", "right")} == {None}
    assert {a.probability for a in trained.predict_relations("0,0", "1,0")} == {0.25}
    with pytest.raises(InputError, match="no validation triples to fit probabilities on"):
        trained.reliability()


def test_new_triples_in_words(trained: TrainedModel) -> None:
    actual = trained.predict_triples("parent", top=4)
    known = {t for split in ("train", "valid", "test") for t in trained.kg.to_triples(split)}
    assert len(actual) == 4
    for new in actual:
        assert isinstance(new, NewTriple)
        assert new[:3] not in known
        assert new.head != new.tail
        assert new.score == pytest.approx(trained.score([new[:3]]).item(), abs=1e-5)
    assert {new.relation for new in trained.predict_triples(top=1000)} == {"parent", "sibling"}
    assert trained.predict_triples(["parent"], 4) == actual


def test_mistakes_name_the_query(trained: TrainedModel) -> None:
    with pytest.raises(InputError, match=r"^query 2: unknown entity 'annn'. Did you mean 'ann'"):
        trained.predict([("ann", "parent", None), ("annn", "parent", None)])
    with pytest.raises(InputError, match="^unknown relation 'parents'"):
        trained.predict_tails("ann", "parents")
    with pytest.raises(InputError, match=r"the id 7 is outside 0\.\.4"):
        trained.predict_tails(7, "parent")
    with pytest.raises(InputError, match="leave out one of head, relation and tail"):
        trained.predict([("ann", "parent", "bob")])


def test_a_run_keeps_its_probabilities(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = emugraph.load(run_folder)
    expected = run.predict_tails("0,0", "right")
    assert isinstance(expected[0], Prediction)
    (run_folder / "calibration.json").unlink()
    again = emugraph.load(run_folder)  # fits them anew
    assert again.predict_tails("0,0", "right") == expected
    assert again.predict_relations("0,0", "1,0") == run.predict_relations("0,0", "1,0")
