from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from emugraph import InputError, KnowledgeGraph
from emugraph.models import MODELS, ComplEx, DistMult, Model
from emugraph.prediction.new_triples import find_triples
from emugraph.prediction.top_k import Predictor

Graphs = Callable[..., KnowledgeGraph]
Models = Callable[..., Model]
Scores = Callable[..., float]


def plausible(
    kg: KnowledgeGraph, model: Model, relations: list[int], score_of: Scores
) -> list[tuple[float, tuple[int, int, int]]]:
    """All new triples with what they are ordered by, by plain loops."""
    train = {tuple(t) for t in kg.train.tolist()}
    known = train | {tuple(t) for split in (kg.valid, kg.test) for t in split.tolist()}
    loops = {r for h, r, t in train if h == t}
    n = range(kg.num_entities)
    rows = []
    for r in relations:
        tails = {(h, t): score_of(model, (h, r, t), "tail") for h in n for t in n}
        heads = {(h, t): score_of(model, (h, r, t), "head") for h in n for t in n}
        of_head = {h: sum(math.exp(tails[h, t]) for t in n if (h, r, t) not in train) for h in n}
        of_tail = {t: sum(math.exp(heads[h, t]) for h in n if (h, r, t) not in train) for t in n}
        for h in n:
            for t in n:
                if (h, r, t) in known or (h == t and r not in loops):
                    continue
                rows.append((tails[h, t] - math.log(of_head[h]) + heads[h, t] - math.log(of_tail[t]), (h, r, t)))
    return sorted(rows, reverse=True)


@pytest.mark.parametrize("block", [1, 2**27])
@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("cls", MODELS.values())
def test_the_most_plausible_are_those_of_plain_loops(
    cls: type[Model],
    reciprocal: bool,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
    overlapping: Graphs,
    model_for: Models,
    score_of: Scores,
) -> None:
    monkeypatch.setattr("emugraph.evaluation.ranking.SCORE_BYTES", block)
    kg = overlapping()
    model = model_for(kg, cls, reciprocal=reciprocal)
    actual = find_triples(Predictor(model, kg), [0, 1, 3], 25)
    expected = plausible(kg, model, [0, 1, 3], score_of)[:25]
    sums = (actual.tail_shares + actual.head_shares).tolist()
    assert sums == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert sums == sorted(sums, reverse=True)
    assert len(set(map(tuple, actual.triples.tolist()))) == 25
    values = {triple: value for value, triple in plausible(kg, model, [0, 1, 3], score_of)}
    for triple, value, score in zip(actual.triples.tolist(), sums, actual.scores.tolist(), strict=True):
        assert values[tuple(triple)] == pytest.approx(value, abs=1e-4)
        assert score == pytest.approx(score_of(model, tuple(triple), "tail"), abs=1e-5)


def test_all_new_triples_when_more_are_asked_for_than_there_are(
    overlapping: Graphs, model_for: Models, score_of: Scores
) -> None:
    kg = overlapping(entities=5, relations=2, count=12)
    model = model_for(kg, ComplEx)
    actual = find_triples(Predictor(model, kg), [0, 1], 1000)
    expected = {triple for _, triple in plausible(kg, model, [0, 1], score_of)}
    assert {tuple(t) for t in actual.triples.tolist()} == expected
    assert len(actual.triples) == len(expected)


def test_self_loops_only_where_training_has_some(model_for: Models) -> None:
    chain = [("a", "r", "b"), ("b", "r", "c")]
    for extra, loops in (([], 0), ([("a", "r", "a")], 2)):
        kg = KnowledgeGraph.from_triples(chain + extra)
        actual = find_triples(Predictor(model_for(kg, DistMult), kg), [0], 100).triples
        assert int((actual[:, 0] == actual[:, 2]).sum()) == loops


def test_a_head_whose_every_tail_is_known(model_for: Models) -> None:
    kg = KnowledgeGraph.from_triples([("a", "r", "a"), ("a", "r", "b"), ("b", "r", "b")])
    actual = find_triples(Predictor(model_for(kg, DistMult), kg), [0], 10)
    assert actual.triples.tolist() == [[1, 0, 0]]


def test_progress_and_mistakes(family: KnowledgeGraph, model_for: Models) -> None:
    predictor = Predictor(model_for(family, DistMult), family)
    done: list[int] = []
    find_triples(predictor, [0, 1], 3, advance=done.append)
    assert sum(done) == 2 * 2 * family.num_entities
    with pytest.raises(InputError, match="at least one is needed"):
        find_triples(predictor, [0], 0)
