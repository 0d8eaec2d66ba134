"""What holds of every sampler, and of samplers in DGL's pipelines."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
import torch

import emugraph.sampling as sampling
from emugraph import InputError, KnowledgeGraph, Vocabulary
from emugraph.sampling import SAMPLERS, KHop, Mixture, NegativeSampler, Uniform
from emugraph.types import SIDES

EVERY = sorted(SAMPLERS)


def make(name: str, kg: KnowledgeGraph, **options: object) -> NegativeSampler:
    return SAMPLERS[name](kg, k=5, **options)  # type: ignore[arg-type]


def test_no_sampler_is_missing() -> None:
    written = {
        value
        for value in vars(sampling).values()
        if inspect.isclass(value) and issubclass(value, NegativeSampler) and not inspect.isabstract(value)
    }
    assert written - {sampling.OneVsAll, sampling.Mixture} == set(SAMPLERS.values())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("side", SIDES)
def test_shapes_ids_and_seeds(name: str, side: str, grid: KnowledgeGraph) -> None:
    sampler = make(name, grid)
    batch = grid.train[:7]
    drawn = sampler.sample(batch, side, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    assert drawn.shape == ((5,) if sampler.shared else (7, 5))
    assert drawn.dtype == torch.int64
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < grid.num_entities
    again = sampler.sample(batch, side, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    other = sampler.sample(batch, side, torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)
    assert sampler.shared == SAMPLERS[name].can_share
    assert name == sampler.name


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("side", SIDES)
def test_filtered_negatives_make_no_training_triple(name: str, side: str, star: KnowledgeGraph) -> None:
    known = {tuple(triple) for triple in star.train.tolist()}
    sampler = SAMPLERS[name](star, k=300, filtered=True)
    assert not sampler.shared
    drawn = sampler.sample(star.train, side, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    for (head, relation, tail), row in zip(star.train.tolist(), drawn.tolist(), strict=True):
        made = {(head, relation, entity) if side == "tail" else (entity, relation, tail) for entity in row}
        assert not made & known


@pytest.mark.parametrize("name", EVERY)
def test_unfiltered_negatives_may_make_one(name: str, star: KnowledgeGraph) -> None:
    known = {tuple(triple) for triple in star.train.tolist()}
    sampler = SAMPLERS[name](star, k=300, filtered=False, shared=False)
    drawn = sampler.sample(star.train, "tail", torch.Generator().manual_seed(0))
    made = {(h, r, e) for (h, r, _), row in zip(star.train.tolist(), drawn.tolist(), strict=True) for e in row}
    assert made & known


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("corrupt", ["tail", "head", "both"])
def test_dgl_asks_for_edges_of_a_homogeneous_graph(
    dgl: ModuleType, name: str, corrupt: str, grid: KnowledgeGraph
) -> None:
    graph, edges = grid.homogeneous, torch.tensor([3, 0, 40])
    sampler = make(name, grid, corrupt=corrupt, filtered=True)
    heads, tails = sampler(graph, edges)
    assert heads.shape == tails.shape == (15,)
    true_heads, true_tails = (ids.repeat_interleave(5) for ids in graph.find_edges(edges))
    same_head, same_tail = heads == true_heads, tails == true_tails
    assert (same_head ^ same_tail).all()  # one side is corrupted, the other is not
    if corrupt != "both":
        assert (same_head if corrupt == "tail" else same_tail).all()


@pytest.mark.parametrize("name", EVERY)
def test_dgl_asks_for_edges_of_a_heterograph(dgl: ModuleType, name: str, grid: KnowledgeGraph) -> None:
    graph = grid.graph
    asked = {("entity", "down", "entity"): torch.tensor([0, 5]), "right": torch.tensor([2]), "empty": torch.tensor([])}
    del asked["empty"]
    pairs = make(name, grid, corrupt="tail")(graph, asked)
    assert set(pairs) == {("entity", "down", "entity"), ("entity", "right", "entity")}
    heads, tails = pairs["entity", "down", "entity"]
    assert (
        heads.tolist()
        == graph.find_edges(asked["entity", "down", "entity"], etype="down")[0].repeat_interleave(5).tolist()
    )
    assert len(tails) == 10


def test_dgl_gets_the_graphs_own_type_of_ids(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    heads, tails = Uniform(grid, 2)(grid.homogeneous.int(), torch.tensor([0], dtype=torch.int32))
    assert heads.dtype == tails.dtype == torch.int32


def test_dgl_draws_each_edge_its_own_from_torchs_seed(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    sampler, edges = Uniform(grid, 8), torch.arange(20)
    assert sampler.shared
    torch.manual_seed(3)
    one = sampler(grid.homogeneous, edges)[1]
    torch.manual_seed(3)
    assert torch.equal(one, sampler(grid.homogeneous, edges)[1])
    assert len({tuple(row) for row in one.view(20, 8).tolist()}) == 20


def test_relations_that_dgls_graph_does_not_tell(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    heads, relations, tails = grid.train.unbind(dim=1)
    bare = dgl.graph((heads, tails), num_nodes=grid.num_entities)
    edges = torch.tensor([0, 1])
    assert len(KHop(grid, k=3, filtered=False)(bare, edges)[0]) == 6  # relations are not needed
    with pytest.raises(InputError, match=r"needs the relation of edges of type '_E'.*graph.edata\[\"relation\"\]"):
        KHop(grid, k=3)(bare, edges)
    bare.edata["relation"] = relations
    assert len(KHop(grid, k=3)(bare, edges)[0]) == 6
    bare.edata["relation"] = relations + grid.num_relations  # those of inverse edges, say
    with pytest.raises(InputError, match=r"is in [23]\.\.[23], but relation ids are 0\.\.1"):
        KHop(grid, k=3)(bare, edges)


def test_dgls_own_count_of_edge_types_is_not_taken_for_relations(dgl: ModuleType, star: KnowledgeGraph) -> None:
    """DGL sorts edge types by name: here the vocabulary does not."""
    labels = star.entities, Vocabulary(["z", "a"], "relation")
    kg = KnowledgeGraph(*labels, star.train)
    merged = dgl.to_homogeneous(kg.graph)
    assert merged.edata[dgl.ETYPE].tolist() != kg.homogeneous.edata["relation"].tolist()
    with pytest.raises(InputError, match="needs the relation of edges"):
        Uniform(kg, 4, filtered=True)(merged, torch.tensor([0]))


def test_edge_ids_alone_do_not_tell_the_edge_type(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    with pytest.raises(InputError, match="several edge types; give a mapping"):
        Uniform(grid)(grid.graph, torch.tensor([0]))


def test_nodes_that_are_not_the_entities(dgl: ModuleType, grid: KnowledgeGraph, star: KnowledgeGraph) -> None:
    with pytest.raises(InputError, match=r"the graph has 60 nodes of type '_N', but the sampler's has 8 entities"):
        Uniform(star)(grid.homogeneous, torch.tensor([0]))


@pytest.mark.filterwarnings("ignore:Dataloader CPU affinity")
def test_a_sampler_in_dgls_data_loader(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    """The pipeline of the README, with workers' processes too."""
    loaders = dgl.dataloading.as_edge_prediction_sampler(
        dgl.dataloading.NeighborSampler([3, 3]), negative_sampler=KHop(grid, hops=2, k=4)
    )
    for workers in (0, 1):
        loader = dgl.dataloading.DataLoader(
            grid.homogeneous, torch.arange(len(grid.train)), loaders, batch_size=32, num_workers=workers
        )
        count = 0
        for nodes, positive, negative, blocks in loader:
            assert len(blocks) == 2
            assert negative.num_edges() == 4 * positive.num_edges()
            assert torch.equal(blocks[-1].dstdata[dgl.NID], positive.ndata[dgl.NID])
            assert len(nodes) == blocks[0].num_src_nodes()
            count += positive.num_edges()
        assert count == len(grid.train)


def test_a_mixture_is_one_too(dgl: ModuleType, grid: KnowledgeGraph) -> None:
    mixture = Mixture([(1, KHop(grid)), (1, Uniform(grid))], 6)
    heads, _ = mixture(grid.homogeneous, torch.tensor([1, 2]))
    assert len(heads) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": -1}, "-1 negatives a positive"),
        ({"k": 0}, "0 negatives a positive"),
        ({"shared": True, "filtered": True}, "cannot be shared then"),
        ({"corrupt": "left"}, "the side to corrupt is 'left'; known: tail, head, both"),
    ],
)
def test_values_that_do_not_go_together(star: KnowledgeGraph, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Uniform(star, **options)  # type: ignore[arg-type]


def test_a_graph_without_entities() -> None:
    empty = KnowledgeGraph(Vocabulary([], "entity"), Vocabulary([], "relation"), torch.empty(0, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="has no entities to draw from"):
        Uniform(empty)


def test_a_sampler_says_what_it_is(star: KnowledgeGraph) -> None:
    assert repr(Uniform(star, 7)) == "Uniform(k=7, shared)"
    assert repr(KHop(star, k=7)) == "KHop(k=7, per positive, filtered)"
