from __future__ import annotations

import pytest

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.neighbors import compute, estimate


def test_a_small_graph_is_counted(family: KnowledgeGraph) -> None:
    expected = estimate(family, 2)
    assert expected.exact
    assert expected.candidates == len(compute(family, 2).candidates) == 12  # four people, all within two hops
    assert expected.disk == 4 * 12 + 8 * (family.num_entities + 1)
    assert str(expected).startswith(
        "family, 2 hops: 12 candidates expected (60% of all pairs, hardly other than uniform), "
    )


def test_a_large_graph_is_estimated_within_a_quarter() -> None:
    kg = emugraph.load_dataset("wn18rr")
    expected, counted = estimate(kg, 2), len(compute(kg, 2).candidates)
    assert not expected.exact
    assert abs(expected.candidates / counted - 1) < 0.25
    assert f"about {expected.candidates:,} candidates" in str(expected)


def test_beyond_the_bound_it_is_refused_with_the_way_out(family: KnowledgeGraph) -> None:
    expected = estimate(family, 2)
    expected.check(expected.memory)
    with pytest.raises(InputError, match=r"candidates expected.*the bound is .*random walks \(neighbors --walks 1000"):
        expected.check(expected.memory - 1)
