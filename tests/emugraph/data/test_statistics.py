from __future__ import annotations

import emugraph
from emugraph.data.statistics import describe, relation_cardinalities


def test_cardinalities_follow_bordes() -> None:
    triples = [("a", "one", "b"), ("c", "one", "d")]
    triples += [("a", "fan_out", x) for x in "bcd"] + [("a", "fan_out", "b")]  # a duplicate counts once
    triples += [(x, "fan_in", "a") for x in "bcd"]
    triples += [(x, "all", y) for x in "ab" for y in "cd"]
    kg = emugraph.KnowledgeGraph.from_triples(triples, test=[("a", "unseen", "b")])
    assert relation_cardinalities(kg) == ["1-1", "1-N", "N-1", "N-N", None]


def test_describe_counts_degrees(family: emugraph.KnowledgeGraph) -> None:
    described = describe(family)
    # ann 2, bob 4, cat 3, dan 1, eve 0
    assert described["degrees"] == {"mean": 2.0, "median": 2, "p99": 3, "max": 4, "max_entity": "bob"}
    # parent: 3 triples of 2 heads and 3 tails, 1.5 tails a head; sibling: 2 triples of 2 heads and 2 tails
    assert described["cardinalities"] == {
        "1-1": {"relations": 1, "triples": 2},
        "1-N": {"relations": 1, "triples": 3},
        "N-1": {"relations": 0, "triples": 0},
        "N-N": {"relations": 0, "triples": 0},
    }
