from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from emugraph.data.answer_index import AnswerIndex
from emugraph.types import SIDES

TRIPLES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 5)), max_size=40)


@given(TRIPLES, TRIPLES, st.sampled_from(SIDES))
def test_agrees_with_a_dictionary(known: list, asked: list, side: str) -> None:
    expected: dict[tuple[int, int], set[int]] = {}
    for h, r, t in known:
        key, answer = ((h, r), t) if side == "tail" else ((t, r), h)
        expected.setdefault(key, set()).add(answer)
    index = AnswerIndex(torch.tensor(known, dtype=torch.int64).reshape(-1, 3), 3, side)
    queries = torch.tensor(asked, dtype=torch.int64).reshape(-1, 3)
    rows, answers = index.of(queries)
    every = torch.tensor(known, dtype=torch.int64).reshape(-1, 3)
    alone = AnswerIndex.of_queries(queries, [every[:5], every[5:]], 3, side)
    assert all(torch.equal(a, b) for a, b in zip(alone.of(queries), (rows, answers), strict=True))
    assert torch.isin(alone.query_keys, index.keys(queries)).all()
    actual: list[list[int]] = [[] for _ in asked]
    for row, answer in zip(rows.tolist(), answers.tolist(), strict=True):
        actual[row].append(answer)
    for (h, r, t), answers_found in zip(asked, actual, strict=True):
        assert answers_found == sorted(expected.get((h, r) if side == "tail" else (t, r), set()))
