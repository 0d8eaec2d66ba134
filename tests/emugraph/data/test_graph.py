from __future__ import annotations

from pathlib import Path
from types import ModuleType

import networkx
import pandas
import pytest
import torch

from emugraph import InputError, KnowledgeGraph, Vocabulary, load_dataset


def test_ids_follow_first_appearance(family: KnowledgeGraph) -> None:
    assert family.entities.labels == ["ann", "bob", "cat", "dan", "eve"]
    assert family.relations.labels == ["parent", "sibling"]
    assert family.train.tolist() == [[0, 0, 1], [0, 0, 2], [1, 0, 3], [1, 1, 2], [2, 1, 1]]
    assert family.valid.tolist() == [[2, 0, 3]]
    assert family.test.tolist() == [[3, 1, 4], [0, 0, 1]]
    assert family.train.dtype == torch.int64


def test_summary_counts_what_is_unusual() -> None:
    kg = KnowledgeGraph.from_triples(
        train=[("a", "r", "b"), ("a", "r", "b"), ("b", "r", "b"), ("b", "s", "c")],
        valid=[("a", "r", "b"), ("d", "r", "a")],
        test=[("a", "r", "b"), ("d", "r", "a"), ("a", "q", "c"), ("a", "r", "c")],
    )
    assert kg.summary() == {
        "name": "graph", "entities": 4, "relations": 3, "train": 4, "valid": 2, "test": 4,
        "duplicates": 1, "self_loops": 1, "valid_in_train": 1, "test_in_train": 1, "test_in_valid": 2,
        "unseen_entities": 1, "unseen_relations": 1, "unseen_triples": 3,
    }  # fmt: skip


def test_heterograph_has_one_edge_type_a_relation(dgl: ModuleType, family: KnowledgeGraph) -> None:
    graph = family.graph
    assert isinstance(graph, dgl.DGLGraph)
    assert graph.ntypes == ["entity"]
    assert graph.num_nodes() == 5
    assert set(graph.etypes) == {"parent", "sibling"}
    heads, tails = graph.edges(etype="parent")
    assert list(zip(heads.tolist(), tails.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 3)]
    heads, tails = graph.edges(etype="sibling")
    assert list(zip(heads.tolist(), tails.tolist(), strict=True)) == [(1, 2), (2, 1)]


def test_homogeneous_keeps_the_order_of_the_triples(dgl: ModuleType, family: KnowledgeGraph) -> None:
    graph = family.homogeneous
    heads, tails = graph.edges(order="eid")
    assert torch.stack([heads, graph.edata["relation"], tails], dim=1).tolist() == family.train.tolist()
    assert graph.num_nodes() == 5


def test_pieces_make_a_split(family: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emugraph.data.graph.PIECE", 2)
    assert [piece.tolist() for piece in family.pieces("train")] == [
        [[0, 0, 1], [0, 0, 2]], [[1, 0, 3], [1, 1, 2]], [[2, 1, 1]]
    ]  # fmt: skip
    assert [family.count(split) for split in ("train", "valid", "test")] == [5, 1, 2]
    with pytest.raises(InputError, match="unknown split 'dev'"):
        family.pieces("dev")


def test_to_dgl_and_back(dgl: ModuleType, family: KnowledgeGraph) -> None:
    back = KnowledgeGraph.from_dgl(family.graph, family.valid, family.test)
    assert back.train.tolist() == family.train.tolist()  # its relations happen to be in alphabetical order
    assert back.relations == family.relations
    assert back.num_entities == 5


def test_from_dgl_with_several_node_types(dgl: ModuleType) -> None:
    graph = dgl.heterograph(
        {("user", "likes", "film"): ([0, 1], [0, 2]), ("film", "sequel", "film"): ([1], [2])},
        num_nodes_dict={"user": 2, "film": 3},
    )
    kg = KnowledgeGraph.from_dgl(graph)
    triples = {(kg.entities[h], kg.relations[r], kg.entities[t]) for h, r, t in kg.train.tolist()}
    assert triples == {
        ("user:0", "likes", "film:0"),
        ("user:1", "likes", "film:2"),
        ("film:1", "sequel", "film:2"),
    }


def test_networkx_round_trip(family: KnowledgeGraph) -> None:
    graph = family.to_networkx(["train", "valid"])
    assert isinstance(graph, networkx.MultiDiGraph)
    assert graph.number_of_edges() == 6
    assert graph.edges["ann", "bob", "parent"] == {"relation": "parent", "split": "train"}
    back = KnowledgeGraph.from_networkx(graph)

    def labelled(kg: KnowledgeGraph, split: str) -> list[tuple[str, str, str]]:
        return sorted((kg.entities[h], kg.relations[r], kg.entities[t]) for h, r, t in kg.triples(split).tolist())

    assert labelled(back, "train") == labelled(family, "train")
    assert labelled(back, "valid") == labelled(family, "valid")


def test_networkx_edge_without_relation_is_named() -> None:
    graph = networkx.DiGraph([("a", "b")])
    with pytest.raises(InputError, match="'a' -> 'b' has no attribute 'relation'"):
        KnowledgeGraph.from_networkx(graph)


def test_from_a_pandas_frame() -> None:
    frame = pandas.DataFrame({"h": ["a", "nan"], "r": ["r", "r"], "t": ["nan", "a"]})
    kg = KnowledgeGraph.from_triples(frame)
    assert kg.entities.labels == ["a", "nan"]
    assert kg.train.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_unwelcome_triples_are_named() -> None:
    with pytest.raises(InputError, match="train triple 1 is"):
        KnowledgeGraph.from_triples([("a", "r", "b"), ("a", "r", 3)])  # type: ignore[list-item]
    with pytest.raises(InputError, match="train triple 0 is 'abc'"):
        KnowledgeGraph.from_triples(["abc"])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"tail id in the train triples is outside 0\.\.1"):
        KnowledgeGraph(Vocabulary("ab"), Vocabulary("r"), torch.tensor([[0, 0, 2]]))
    with pytest.raises(InputError, match=r"shape \(1, 2\)"):
        KnowledgeGraph(Vocabulary("ab"), Vocabulary("r"), torch.tensor([[0, 0]]))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InputError, match="half a character"):
        KnowledgeGraph.from_triples([("a\ud800", "r", "b")])


def test_frames_go_by_the_names_of_their_columns() -> None:
    frame = pandas.DataFrame({"tail": ["b"], "relation": ["r"], "head": ["a"]})
    assert KnowledgeGraph.from_triples(frame).to_triples() == [("a", "r", "b")]


def test_entity_by_label_or_unambiguous_name() -> None:
    kg = KnowledgeGraph(
        Vocabulary(["1", "2", "3"], "entity"), Vocabulary(["r"]), torch.tensor([[0, 0, 1]]),
        entity_names=["dog", "cat", "cat"],
    )  # fmt: skip
    assert kg.entity_id("1") == kg.entity_id("dog") == 0
    assert kg.display(0) == "1 (dog)"
    with pytest.raises(InputError, match="2 entities are named 'cat'; say which by its id: 2, 3"):
        kg.entity_id("cat")
    with pytest.raises(InputError, match="unknown entity 'cow'"):
        kg.entity_id("cow")


def test_thousands_of_relations_are_quick_enough_to_build(dgl: ModuleType) -> None:
    triples = torch.stack([torch.arange(6000) % 7, torch.arange(6000) % 3000, torch.arange(6000) % 5], dim=1)
    kg = KnowledgeGraph(Vocabulary(map(str, range(7))), Vocabulary(f"r{i}" for i in range(3000)), triples)
    assert len(kg.graph.etypes) == 3000
    assert kg.graph.num_edges() == 6000


def test_load_dataset_from_a_folder_and_what_it_refuses(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.tsv").write_text("a\tr\tb\nb\tr\ta\n", encoding="utf-8")
    kg = load_dataset(tmp_path)
    assert kg.name == tmp_path.name
    assert kg.train.tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(InputError, match="is a folder, which holds its own splits"):
        load_dataset(tmp_path, split=(0.8, 0.1, 0.1))
    with pytest.raises(InputError, match=r"--split 0\.8,0\.1,0\.1"):
        load_dataset(tmp_path / "train.tsv")
    with pytest.raises(InputError, match="does not exist"):
        load_dataset(tmp_path / "nothing")


def test_an_unknown_entity_is_told_the_nearest_names_where_no_label_is_near() -> None:
    kg = load_dataset("wn18rr")
    with pytest.raises(InputError, match=r"unknown entity 'dogg\.n\.01'\. Did you mean 'dog\.n\.01'"):
        kg.entity_id("dogg.n.01")
    with pytest.raises(InputError, match=r"unknown entity '020840711'\. Did you mean .*'02084071'"):
        kg.entity_id("020840711")


@pytest.mark.parametrize("large", [False, True])
def test_contains_is_membership(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:  # looked through piece by piece
        monkeypatch.setattr("emugraph.data.graph._SORTED_WHOLE", 0)
        monkeypatch.setattr("emugraph.data.graph.PIECE", 7)
    generator = torch.Generator().manual_seed(0)
    triples = torch.stack([torch.randint(n, (60,), generator=generator) for n in (5, 2, 5)], dim=1)
    labels = Vocabulary("abcde", "entity"), Vocabulary("rs", "relation")
    kg = KnowledgeGraph(*labels, triples[:30], triples[30:40])
    for split, known in (("train", triples[:30]), ("valid", triples[30:40]), ("test", triples[:0])):
        expected = [triple in known.tolist() for triple in triples.tolist()]
        assert kg.contains(triples, split).tolist() == expected
        assert kg.contains(triples[:0], split).shape == (0,)


class Many(Vocabulary):
    """A vocabulary that says it has more labels than fit into memory."""

    def __init__(self, count: int, kind: str) -> None:
        self.count = 1
        super().__init__(["only"], kind)
        self.count = count

    def __len__(self) -> int:
        return self.count


def test_triples_are_told_apart_where_their_ids_in_one_number_would_overflow() -> None:
    """Freebase's size: 86,054,151 entities squared, times 14,824 relations, is 1.1e20; int64 ends at 9.2e18.

    The second triple is the first plus 2^64 in that numbering, so that the two would have one number.
    """
    entities, relations = 86_054_151, 14_824
    first = (1, 2, 3)
    number = ((first[0] * relations + first[1]) * entities + first[2]) + 2**64
    query, tail = divmod(number, entities)
    second = (*divmod(query, relations), tail)
    assert all(0 <= part < size for part, size in zip(second, (entities, relations, entities), strict=True))
    train, valid = torch.tensor([first, first]), torch.tensor([second, first])
    kg = KnowledgeGraph(Many(entities, "entity"), Many(relations, "relation"), train, valid)
    assert kg.contains(torch.tensor([first, second, (5, 6, 7)]), "train").tolist() == [True, False, False]
    assert kg.contains(torch.tensor([first, second, (5, 6, 7)]), "valid").tolist() == [True, True, False]
    assert kg.contains(torch.tensor([[86_054_150, 14_823, 86_054_150]]), "train").tolist() == [False]


@pytest.mark.parametrize(("entities", "relations"), [(2**31, 1), (1, 2**31)])
def test_more_labels_than_ids_are_refused(entities: int, relations: int) -> None:
    with pytest.raises(InputError, match="2,147,483,648 (entity|relation) labels are too many"):
        KnowledgeGraph(Many(entities, "entity"), Many(relations, "relation"), torch.zeros(1, 3, dtype=torch.int64))
