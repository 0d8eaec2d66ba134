from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

import emugraph
from emugraph import InputError, KnowledgeGraph, Vocabulary
from emugraph.evaluation.ranking import Evaluator
from emugraph.models import MODELS, DistMult, Model
from emugraph.prediction.calibration import Calibration
from emugraph.prediction.top_k import Predictor
from emugraph.prediction.trained_model import TrainedModel
from emugraph.types import COLUMN, SPLITS, Part

Graphs = Callable[..., KnowledgeGraph]
Models = Callable[..., Model]
Scores = Callable[..., float]


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("part", ["tail", "head", "relation"])
@pytest.mark.parametrize("cls", MODELS.values())
@pytest.mark.parametrize("large", [False, True])
def test_answers_are_those_of_plain_loops(
    large: bool,
    monkeypatch: pytest.MonkeyPatch,
    cls: type[Model],
    part: Part,
    reciprocal: bool,
    overlapping: Graphs,
    model_for: Models,
    score_of: Scores,
) -> None:
    if large:  # the index is of the queries alone
        monkeypatch.setattr("emugraph.prediction.top_k._INDEXED_WHOLE", 0)
    kg = overlapping()
    model = model_for(kg, cls, reciprocal=reciprocal)
    stands = {split: {tuple(t) for t in kg.triples(split).tolist()} for split in SPLITS}
    count = kg.num_relations if part == "relation" else kg.num_entities
    for without in ((), ("train",), ("valid", "test"), SPLITS):
        answers = Predictor(model, kg).answer(kg.test, part, 3, without=without)
        for row, query in enumerate(kg.test.tolist()):
            triples = []
            for candidate in range(count):
                triple = list(query)
                triple[COLUMN[part]] = candidate
                triples.append(tuple(triple))
            scores = {t: score_of(model, t, part) for t in triples}
            rivals = [t for t in triples if part == "relation" or t not in stands["train"]]
            total = math.log(sum(math.exp(scores[t]) for t in rivals))
            left = [t for t in triples if not any(t in stands[split] for split in without)]
            expected = sorted(left, key=lambda t: -scores[t])[:3]
            for place in range(min(3, count)):
                if place >= len(expected):
                    assert answers.ids[row, place] == -1
                    continue
                triple = expected[place]
                assert answers.ids[row, place] == triple[COLUMN[part]]
                assert answers.scores[row, place].item() == pytest.approx(scores[triple], abs=1e-5)
                assert answers.shares[row, place].item() == pytest.approx(scores[triple] - total, abs=1e-4)
                first = next((i for i, split in enumerate(SPLITS, 1) if triple in stands[split]), 0)
                assert answers.known[row, place] == first


@pytest.mark.parametrize("part", ["tail", "head"])
def test_ranks_from_answers_are_those_of_evaluation_ties_included(part: Part, model_for: Models) -> None:
    kg = emugraph.load_dataset("wn18rr")
    model = model_for(kg, DistMult)
    model.entities.data.mul_(3).round_()  # so that many scores tie
    model.relations.data.mul_(3).round_()
    triples = kg.test[torch.randperm(len(kg.test), generator=torch.Generator().manual_seed(0))[:500]]
    ranks = Evaluator(kg).ranks(model, triples, part).realistic
    ties = 0
    for some, expected in zip(triples.split(50), ranks.split(50), strict=True):
        answers = Predictor(model, kg).answer(some, part, kg.num_entities)
        ours = answers.ids == some[:, COLUMN[part], None]  # (50, N)
        others = (answers.known == 0) & ~ours
        better = (others & (answers.scores > answers.scores[ours][:, None])).sum(dim=1)
        equal = (others & (answers.scores == answers.scores[ours][:, None])).sum(dim=1)
        assert torch.equal(expected, 1 + better + equal / 2)
        ties += int((equal > 0).sum())
    assert ties > 100


def test_equal_scores_are_in_the_order_of_ids(family: KnowledgeGraph, model_for: Models) -> None:
    model = model_for(family, DistMult)
    model.entities.data.zero_()
    answers = Predictor(model, family).answer(torch.tensor([[0, 0, 0]]), "tail", 5)
    assert answers.ids.tolist() == [[0, 1, 2, 3, 4]]


def test_small_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch, overlapping: Graphs, model_for: Models) -> None:
    kg = overlapping()
    model = model_for(kg, DistMult)
    for part in COLUMN:
        whole = Predictor(model, kg).answer(kg.test, part, 4)
        monkeypatch.setattr("emugraph.evaluation.ranking.SCORE_BYTES", 1)
        monkeypatch.setattr("emugraph.prediction.top_k.SCORE_BYTES", 1)
        parts = Predictor(model, kg).answer(kg.test, part, 4)
        monkeypatch.undo()
        assert torch.equal(whole.ids, parts.ids)
        torch.testing.assert_close(whole.shares, parts.shares)


def test_progress_counts_queries(overlapping: Graphs, model_for: Models) -> None:
    kg = overlapping()
    done: list[int] = []
    Predictor(model_for(kg, DistMult), kg).answer(kg.test, "tail", 1, advance=done.append)
    assert sum(done) == len(kg.test)


def test_no_queries_have_no_answers(family: KnowledgeGraph, model_for: Models) -> None:
    answers = Predictor(model_for(family, DistMult), family).answer(family.test[:0], "tail", 3)
    assert answers.ids.shape == answers.scores.shape == answers.known.shape == (0, 3)


def test_a_query_whose_every_answer_is_known(model_for: Models) -> None:
    kg = KnowledgeGraph.from_triples([("a", "r", "a"), ("a", "r", "b")])
    predictor = Predictor(model_for(kg, DistMult), kg)
    assert predictor.answer(torch.tensor([[0, 0, 0]]), "tail", 2, without=("train",)).ids.tolist() == [[-1, -1]]
    assert predictor.answer(torch.tensor([[0, 0, 0]]), "tail", 2).known.tolist() == [[1, 1]]


def test_mistakes(family: KnowledgeGraph, grid: KnowledgeGraph, model_for: Models) -> None:
    predictor = Predictor(model_for(family, DistMult), family)
    with pytest.raises(InputError, match="0 answers were asked for"):
        predictor.answer(family.test, "tail", 0)
    with pytest.raises(InputError, match="unknown split 'tests'"):
        predictor.answer(family.test, "tail", without=("tests",))
    with pytest.raises(InputError, match="ids must index the vocabulary"):
        predictor.answer(torch.tensor([[9, 0, 0]]), "tail")
    with pytest.raises(InputError, match="use it with the graph"):
        Predictor(model_for(family, DistMult), grid).answer(grid.test, "tail")


def test_ranks_of_relations_are_those_of_plain_loops(overlapping: Graphs, model_for: Models, score_of: Scores) -> None:
    kg = overlapping()
    model = model_for(kg, DistMult)
    model.entities.data.round_()
    model.relations.data.round_()
    known = {tuple(t) for split in SPLITS for t in kg.triples(split).tolist()}
    done: list[int] = []
    ranks = Predictor(model, kg).relation_ranks(kg.test, advance=done.append)
    assert sum(done) == len(kg.test)
    for row, (h, r, t) in enumerate(kg.test.tolist()):
        scores = {i: score_of(model, (h, i, t), "relation") for i in range(kg.num_relations)}
        others = [i for i in scores if i != r and (h, i, t) not in known]
        better, equal = sum(scores[i] > scores[r] for i in others), sum(scores[i] == scores[r] for i in others)
        assert (ranks.optimistic[row], ranks.pessimistic[row]) == (1 + better, 1 + better + equal)


@pytest.fixture
def by_relation() -> tuple[KnowledgeGraph, Model]:
    """A graph and a model whose score is the relation's alone: 1, not a number, 2, -inf, 1; training has the third."""
    pairs, relations = (("a", "b"), ("c", "d"), ("e", "f")), [f"r{i}" for i in range(5)]
    kg = KnowledgeGraph(
        Vocabulary(list("abcdef"), "entity"),
        Vocabulary(relations, "relation"),
        torch.tensor([[0, 2, 1], [2, 2, 3], [4, 2, 5]]),
        torch.empty(0, 3, dtype=torch.int64),
        torch.tensor([[0, 0, 1], [2, 1, 3], [4, 3, 5]]),
    )
    assert [tuple(kg.entities[i] for i in (h, t)) for h, _, t in kg.test.tolist()] == list(pairs)
    model = DistMult(6, 5, 1)
    model.entities.data.fill_(1.0)
    model.relations.data[:, 0] = torch.tensor([1.0, math.nan, 2.0, -math.inf, 1.0])
    return kg, model


def test_scores_of_relations_that_are_no_numbers_rank_last(by_relation: tuple[KnowledgeGraph, Model]) -> None:
    kg, model = by_relation
    # The third is left out, four remain. r0 beats r3 and ties with r4; nothing can be said of r1. r1 itself is last. r3
    # is beaten by r0 and r4, and again nothing can be said of r1.
    ranks = Predictor(model, kg).relation_ranks(kg.test)
    assert ranks.optimistic.tolist() == [1, 4, 3]
    assert ranks.pessimistic.tolist() == [3, 4, 4]
    metrics = TrainedModel(kg, model).evaluate_relations()
    assert metrics["mrr"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 3.5) / 3)


def test_answers_that_are_no_numbers_are_none(by_relation: tuple[KnowledgeGraph, Model]) -> None:
    kg, model = by_relation
    answers = Predictor(model, kg).answer(kg.test[:1], "relation", 5)
    assert answers.ids.tolist() == [[2, 0, 4, -1, -1]]
    trained = TrainedModel(kg, model, (None, Calibration([0.0], [0.5], 1)))  # shares among what is no number are none
    assert [answer.probability for answer in trained.predict_relations("a", "b")] == [None] * 3
    model.relations.data.fill_(math.nan)
    assert Predictor(model, kg).answer(kg.test[:1], "tail", 2).ids.tolist() == [[-1, -1]]
