"""Random splits that leave nothing without a training triple."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emugraph.data.random_split import Ids, check_fractions, parse_fractions, split_rows
from emugraph.errors import InputError


def rows(*triples: tuple[int, int, int]) -> Ids:
    return np.array(triples, dtype=np.int64).reshape(-1, 3)


def complete(entities: int, relations: int) -> Ids:
    """Every triple that there can be."""
    return rows(
        *((h, r, t) for h in range(entities) for r in range(relations) for t in range(entities)),
    )


def test_parse_fractions() -> None:
    assert parse_fractions("0.8,0.1,0.1") == (0.8, 0.1, 0.1)
    assert parse_fractions(" 0.5, 0.5 ,0") == (0.5, 0.5, 0.0)


@pytest.mark.parametrize("text", ["", "0.8", "0.8,0.2", "0.7,0.1,0.1,0.1", "0.8;0.1;0.1", "a,b,c"])
def test_parse_fractions_refuses_what_is_not_three_numbers(text: str) -> None:
    with pytest.raises(InputError, match=r"three numbers such as 0.8,0.1,0.1"):
        parse_fractions(text)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ((0.8, 0.1, 0.2), "sum to 1.1"),
        ((0.8, 0.1, 0.09), "sum to 0.99"),
        ((0.0, 0.5, 0.5), "train must be above 0"),
        ((1.1, -0.1, 0.0), "0 or more"),
        ((float("nan"), 0.5, 0.5), "train must be above 0"),
        ((float("inf"), 0.0, 0.0), "sum to inf"),
    ],
)
def test_fractions_that_do_not_fit(fractions: tuple[float, float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_fractions(fractions)


def test_fractions_may_be_off_by_rounding() -> None:
    check_fractions((1 / 3, 1 / 3, 1 / 3))
    check_fractions((0.8, 0.1, 0.1 + 5e-7))


def test_sizes_are_exact_where_they_can_be_reached() -> None:
    split = split_rows(complete(10, 2), (0.8, 0.15, 0.05), seed=1)  # 200 rows
    assert {name: len(part) for name, part in split.items()} == {"train": 160, "valid": 30, "test": 10}
    assert sorted(np.concatenate(list(split.values()))) == list(range(200))
    assert all((np.diff(part) > 0).all() for part in split.values())


def test_seed_decides() -> None:
    triples = complete(6, 1)
    first, again, other = (split_rows(triples, (0.5, 0.25, 0.25), seed) for seed in (3, 3, 4))
    assert all((first[name] == again[name]).all() for name in first)
    assert any(first[name].tolist() != other[name].tolist() for name in first)


def test_a_path_keeps_every_triple() -> None:
    # 0 - 1 - 2 - 3: the ends have one triple each, and each triple has its own relation.
    split = split_rows(rows((0, 0, 1), (1, 1, 2), (2, 2, 3)), (0.4, 0.3, 0.3), seed=0)
    assert {name: len(part) for name, part in split.items()} == {"train": 3, "valid": 0, "test": 0}


def test_only_the_triple_that_can_leave_does() -> None:
    # 0-1, 1-2 and the chord 0-2, one relation, with pendants 3 and 4: of the triangle, one edge can leave
    # when 0, 1, 2 keep another; a pendant edge never can.
    triples = rows((0, 0, 1), (1, 0, 2), (2, 0, 0), (3, 0, 0), (4, 0, 2))
    for seed in range(20):
        split = split_rows(triples, (0.2, 0.8, 0.0), seed)
        assert {3, 4} <= set(split["train"].tolist())
        # 0 and 2 keep their pendants, so edge 2-0 and one of 0-1, 1-2 may both leave; 1 keeps one of the two.
        assert len({0, 1} & set(split["train"].tolist())) == 1
        assert 2 in split["valid"]


def test_a_self_loop_counts_once_for_its_entity() -> None:
    # Entity 1 has only its loop, twice as head and tail of the same triple: it must stay.
    split = split_rows(rows((1, 0, 1), (0, 0, 2), (2, 0, 0), (0, 0, 0)), (0.25, 0.75, 0.0), seed=0)
    assert 0 in split["train"]
    assert len(split["valid"]) == 2


def test_repeated_triples_stay_together() -> None:
    triples = np.repeat(complete(4, 1), 3, axis=0)  # 48 rows
    split = split_rows(triples, (0.5, 0.25, 0.25), seed=0)
    assert len(split["valid"]) == len(split["test"]) == 12
    sides = [{tuple(row) for row in triples[part].tolist()} for part in split.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 16


def test_too_few_are_shared_in_proportion() -> None:
    # A star with doubled spokes: of each pair of parallel triples one can leave, 30 of 60.
    spokes = [(0, r, t) for t in range(1, 31) for r in (0, 1)]
    split = split_rows(rows(*spokes), (0.2, 0.6, 0.2), seed=0)  # asks for 36 and 12
    assert {name: len(part) for name, part in split.items()} == {"train": 30, "valid": 22, "test": 8}


ids = st.integers(0, 5)


@given(
    st.lists(st.tuples(ids, st.integers(0, 2), ids), min_size=1, max_size=40),
    st.sampled_from([(0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.1, 0.9, 0.0), (1.0, 0.0, 0.0)]),
    st.integers(0, 5),
)
def test_laws(triples: list[tuple[int, int, int]], fractions: tuple[float, float, float], seed: int) -> None:
    split = split_rows(rows(*triples), fractions, seed)
    assert sorted(i for part in split.values() for i in part.tolist()) == list(range(len(triples)))
    train = [triples[i] for i in split["train"]]
    assert {e for h, _, t in train for e in (h, t)} == {e for h, _, t in triples for e in (h, t)}
    assert {r for _, r, _ in train} == {r for _, r, _ in triples}
    for triple in set(triples):
        assert sum(triple in [triples[i] for i in part] for part in split.values()) == 1
    assert len(split["valid"]) + len(split["test"]) <= round(fractions[1] * len(triples)) + round(
        fractions[2] * len(triples)
    )


def test_nothing_more_could_have_left() -> None:
    rng = np.random.default_rng(0)
    triples = rng.integers(0, 12, (60, 3)) % np.array([12, 3, 12])
    split = split_rows(triples, (0.01, 0.5, 0.49), seed=0)
    train = {tuple(row) for row in triples[split["train"]].tolist()}
    entities = Counter(e for h, _, t in train for e in {h, t})
    relations = Counter(r for _, r, _ in train)
    for h, r, t in train:
        assert entities[h] == 1 or entities[t] == 1 or relations[r] == 1
