from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from emugraph import InputError, KnowledgeGraph, Vocabulary, evaluate
from emugraph.data.answer_index import AnswerIndex
from emugraph.evaluation.ranking import Evaluator, Ranks, summarize
from emugraph.models import MODELS, DistMult, Model
from emugraph.types import SIDES


class Table(Model):
    """Scores looked up in a table, so that a test can say what each triple scores."""

    name = "table"
    entity_width = 1  # type: ignore[assignment]
    relation_width = 1  # type: ignore[assignment]

    def __init__(self, scores: Tensor) -> None:  # (heads, relations, tails)
        super().__init__(scores.shape[0], scores.shape[1], 1)
        self.entities.data[:, 0] = torch.arange(scores.shape[0])
        self.relations.data[:, 0] = torch.arange(scores.shape[1])
        self.table = scores

    def query(self, entity: Tensor, relation: Tensor, side: str) -> Tensor:
        e, r = entity[:, 0].long(), relation[:, 0].long()
        return self.table[e, r] if side == "tail" else self.table[:, r, e].T

    def components(self, query: Tensor, candidate: Tensor) -> Tensor:
        raise NotImplementedError

    def score(self, query: Tensor, candidate: Tensor) -> Tensor:
        return query[:, candidate[:, 0].long()].contiguous()


def brute_force(kg: KnowledgeGraph, scores: Tensor, triple: list[int], side: str, filtered: bool) -> tuple[int, int]:
    """Best and worst rank by plain loops over all candidates."""
    known = {tuple(t) for split in (kg.train, kg.valid, kg.test) for t in split.tolist()}
    h, r, t = triple
    true = scores[h, r, t].item()
    better = ties = 0
    for candidate in range(kg.num_entities):
        other = (h, r, candidate) if side == "tail" else (candidate, r, t)
        if other == (h, r, t) or (filtered and other in known):
            continue
        score = scores[other].item()
        better += score > true
        ties += score == true
    return 1 + better, 1 + better + ties


@st.composite
def graphs(draw: st.DrawFn) -> tuple[KnowledgeGraph, Tensor]:
    n, r = draw(st.integers(2, 7)), draw(st.integers(1, 3))
    triple = st.tuples(st.integers(0, n - 2), st.integers(0, r - 1), st.integers(0, n - 1))
    splits = [torch.tensor(draw(st.lists(triple, min_size=1, max_size=12))) for _ in range(3)]  # duplicates occur
    scores = torch.tensor(draw(st.lists(st.integers(-2, 2), min_size=n * n * r, max_size=n * n * r)))
    kg = KnowledgeGraph(Vocabulary(map(str, range(n))), Vocabulary(map(str, range(r))), *splits)
    return kg, scores.float().reshape(n, r, n)


@settings(max_examples=150, deadline=None)
@given(graphs(), st.booleans())
def test_ranks_agree_with_brute_force(case: tuple[KnowledgeGraph, Tensor], filtered: bool) -> None:
    kg, scores = case
    for side in SIDES:
        ranks = Evaluator(kg).ranks(Table(scores), kg.test, side, filtered=filtered)
        expected = [brute_force(kg, scores, triple, side, filtered) for triple in kg.test.tolist()]
        assert list(zip(ranks.optimistic.tolist(), ranks.pessimistic.tolist(), strict=True)) == expected


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_metrics_agree_with_brute_force(case: tuple[KnowledgeGraph, Tensor]) -> None:
    kg, scores = case
    metrics = Evaluator(kg).evaluate(Table(scores), "test", ties=True)
    both = [brute_force(kg, scores, t, side, True) for side in SIDES for t in kg.test.tolist()]
    ranks = [(best + worst) / 2 for best, worst in both]
    assert metrics["mrr"] == pytest.approx(sum(1 / r for r in ranks) / len(ranks))
    assert metrics["mean_rank"] == pytest.approx(sum(ranks) / len(ranks))
    for k in (1, 3, 10):
        assert metrics[f"hits@{k}"] == pytest.approx(sum(r <= k for r in ranks) / len(ranks))
    assert metrics["optimistic"]["mrr"] == pytest.approx(sum(1 / best for best, _ in both) / len(both))
    assert metrics["pessimistic"]["mrr"] == pytest.approx(sum(1 / worst for _, worst in both) / len(both))


def random_graph(n: int, triples: int) -> KnowledgeGraph:
    generator = torch.Generator().manual_seed(1)
    columns = [torch.randint(size, (triples,), generator=generator) for size in (n, 3, n)]
    ids = torch.stack(columns, dim=1)
    return KnowledgeGraph(Vocabulary(map(str, range(n))), Vocabulary("abc"), ids[:-40], ids[-40:-20], ids[-20:])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n", [37, 1003])
def test_a_constant_model_gets_the_mean_rank(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if n > 1000:  # entities a part at a time
        monkeypatch.setattr("emugraph.evaluation.ranking.SCORE_BYTES", 1 << 17)
    kg = random_graph(n, 200)
    model = MODELS[name](n, 3, 7)
    model.entities.data[:] = 0.3
    ranks = Evaluator(kg).ranks(model, kg.test, "tail", filtered=False)
    assert ranks.optimistic.tolist() == [1] * 20
    assert ranks.pessimistic.tolist() == [n] * 20
    assert evaluate(model, kg, filtered=False)["mrr"] == pytest.approx(2 / (n + 1))


def test_scores_that_are_no_numbers_rank_last() -> None:
    kg = random_graph(30, 200)
    model = DistMult(30, 3, 4)
    model.entities.data[:] = math.nan
    metrics = evaluate(model, kg, filtered=False)
    assert metrics["mrr"] == pytest.approx(1 / 30)


def test_ranks_from_counts() -> None:
    """Of 10 candidates 2 are higher and 5 lower: 2 tie, or are no numbers. Without a number it is the last of 8."""
    true, counts = torch.tensor([0.5, math.nan]), torch.tensor([[2, 0], [5, 0], [10, 8]])
    ranks = Ranks.of_counts(true, *counts)
    assert ranks.optimistic.tolist() == [3, 8]
    assert ranks.pessimistic.tolist() == [5, 8]
    assert ranks.realistic.tolist() == [4.0, 8.0]


def test_a_permutation_of_the_entities_moves_no_rank() -> None:
    kg = random_graph(50, 300)
    model = MODELS["complex"](50, 3, 8)
    before = evaluate(model, kg)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))  # entity i becomes order[i]
    moved = MODELS["complex"](50, 3, 8)
    moved.relations.data = model.relations.data
    moved.entities.data[order] = model.entities.data

    def renamed(triples: Tensor) -> Tensor:
        return torch.stack([order[triples[:, 0]], triples[:, 1], order[triples[:, 2]]], dim=1)

    after = evaluate(moved, KnowledgeGraph(kg.entities, kg.relations, *map(renamed, (kg.train, kg.valid, kg.test))))
    assert after == before


@pytest.mark.parametrize("name", ["rotate", "distmult"])
@pytest.mark.parametrize(("fewest", "size", "most"), [(1, 4 * 50 * 7, 7), (5, 16 * 5 * 11, 20)])
def test_blocks_do_not_change_metrics(
    name: str, fewest: int, size: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg = random_graph(50, 300)
    model = MODELS[name](50, 3, 8)
    model.entities.data.mul_(20).round_()  # so that DistMult's scores are exact, and many tie
    model.relations.data.mul_(20).round_()
    whole = evaluate(model, kg, "train", ties=True)
    raw = evaluate(model, kg, "train", ties=True, filtered=False)
    assert whole["mrr"] > raw["mrr"]
    assert (whole["optimistic"]["mrr"] > whole["mrr"]) == (name == "distmult")
    # seven queries at a time to all entities; or twenty at a time, to eleven entities at a time
    monkeypatch.setattr("emugraph.evaluation.ranking._FEWEST", fewest)
    monkeypatch.setattr("emugraph.evaluation.ranking.SCORE_BYTES", size)
    assert evaluate(model, kg, "train", ties=True, filtered=False) == raw
    advanced: list[int] = []
    blocked = Evaluator(kg).evaluate(model, "train", ties=True, advance=advanced.append)
    assert blocked == whole
    assert sum(advanced) == 2 * len(kg.train)
    assert max(advanced) == most


def test_summarize_by_hand() -> None:
    metrics = summarize(torch.tensor([1.0, 2.5, 4.0, 20.0]))
    assert metrics["mrr"] == pytest.approx((1 + 0.4 + 0.25 + 0.05) / 4)
    assert metrics["mean_rank"] == pytest.approx(27.5 / 4)
    assert (metrics["hits@1"], metrics["hits@3"], metrics["hits@10"]) == (0.25, 0.5, 0.75)


def test_triples_and_models_of_another_graph_are_refused(family: KnowledgeGraph) -> None:
    model = DistMult(5, 2, 4)
    for triples, message in (
        (torch.tensor([[0, -1, 1]]), "a relation id in the triples is outside"),
        (torch.tensor([[0, 0, 5]]), "a tail id in the triples is outside"),
        (torch.tensor([[0.0, 0.0, 1.0]]), "torch.float32; expected whole numbers"),
        (torch.tensor([0, 0, 1]), r"shape \(3,\)"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(model, family, triples)
    with pytest.raises(InputError, match="the model has 6 entities and 2 relations, family has 5 and 2"):
        evaluate(DistMult(6, 2, 4), family)


def test_an_empty_split_is_refused(family: KnowledgeGraph) -> None:
    family.test = torch.empty(0, 3, dtype=torch.int64)
    with pytest.raises(InputError, match="the test split of family is empty"):
        evaluate(DistMult(5, 2, 4), family)


def test_known_answers_go_where_the_model_is(
    overlapping: Callable[..., KnowledgeGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One evaluator serves models on several devices: each time its index is on the model's."""
    devices: list[torch.device] = []

    def to(index: AnswerIndex, device: torch.device) -> AnswerIndex:
        devices.append(device)
        return index

    monkeypatch.setattr(AnswerIndex, "to", to)
    evaluator, kg = Evaluator(overlapping()), overlapping()
    for _ in range(2):
        evaluator.evaluate(DistMult(kg.num_entities, kg.num_relations, 4), "test")
    assert devices == [torch.device("cpu")] * 4
    with pytest.warns(DeprecationWarning, match=r"Evaluator\(kg, device\) is now Evaluator\(kg\)"):
        Evaluator(kg, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_one_evaluator_ranks_on_a_gpu_and_on_a_cpu(overlapping: Callable[..., KnowledgeGraph]) -> None:
    kg = overlapping()
    model, evaluator = DistMult(kg.num_entities, kg.num_relations, 4, init_scale=1.0), Evaluator(kg)
    on_cpu = evaluator.evaluate(model, "test")
    assert evaluator.evaluate(model.to("cuda"), "test") == pytest.approx(on_cpu)
    assert evaluator.evaluate(model, kg.test.to("cuda"))["mrr"] == pytest.approx(on_cpu["mrr"])
    assert evaluator.evaluate(model.to("cpu"), "test") == on_cpu
