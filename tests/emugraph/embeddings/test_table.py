from __future__ import annotations

from pathlib import Path
from types import ModuleType

import networkx
import pytest
import torch

import emugraph
from emugraph import InputError, KnowledgeGraph
from emugraph.embeddings.table import Table, start_from, tables_of
from emugraph.models import ComplEx, DistMult, RotatE, TransE
from emugraph.prediction.trained_model import TrainedModel


@pytest.fixture
def trained(family: KnowledgeGraph) -> TrainedModel:
    return TrainedModel(family, DistMult(5, 2, 3))


def test_tables_are_copies_with_labels(trained: TrainedModel) -> None:
    table = trained.embeddings()
    assert table.labels == ["ann", "bob", "cat", "dan", "eve"]
    assert torch.equal(table.rows, trained.model.entities)
    table.rows.zero_()
    assert trained.model.entities.abs().sum() > 0
    assert trained.embeddings("relations").labels == ["parent", "sibling"]
    frame = trained.embeddings().to_pandas()
    assert frame.loc["dan"].tolist() == trained.model.entities[3].tolist()
    assert trained.embeddings().numpy().shape == (5, 3)
    with pytest.raises(InputError, match="unknown part 'entity'"):
        trained.embeddings("entity")


def test_reciprocal_relations_have_rows_of_their_own(family: KnowledgeGraph) -> None:
    table = tables_of(ComplEx(5, 2, 3, reciprocal=True), family)["relations"]
    assert table.labels == ["parent", "sibling", "parent^-1", "sibling^-1"]
    assert table.rows.shape == (4, 6)


@pytest.mark.parametrize("labels", [["a"], ["a", "a"]])
def test_labels_that_do_not_fit(labels: list[str]) -> None:
    with pytest.raises(InputError, match="labels were given|stands twice"):
        Table(labels, torch.zeros(2, 3))


# -------------------------------------------------------------------- DGL graphs


def test_the_graphs_of_the_knowledge_graph(dgl: ModuleType, trained: TrainedModel) -> None:
    for graph in (trained.kg.graph, trained.kg.homogeneous):
        assert trained.attach(graph) is graph
        assert torch.equal(graph.ndata["embedding"], trained.model.entities)
        assert "embedding_known" not in graph.ndata
        assert not graph.ndata["embedding"].requires_grad


def test_a_subgraph_of_dgl_says_whose_its_nodes_are(dgl: ModuleType, trained: TrainedModel) -> None:
    part = dgl.node_subgraph(trained.kg.homogeneous, [3, 1])
    trained.attach(part, field="x")
    assert torch.equal(part.ndata["x"], trained.model.entities[[3, 1]])


def test_a_graph_with_other_nodes_in_another_order(dgl: ModuleType, trained: TrainedModel) -> None:
    graph = dgl.graph(([0, 1], [2, 3]))
    trained.attach(graph, ["eve", "stranger", None, "ann"])
    assert torch.equal(graph.ndata["embedding"][[0, 3]], trained.model.entities[[4, 0]])
    assert graph.ndata["embedding"][[1, 2]].abs().sum() == 0
    assert graph.ndata["embedding_known"].tolist() == [True, False, False, True]
    trained.attach(graph, torch.tensor([4, -1, 2, 0]))
    assert torch.equal(graph.ndata["embedding"][2], trained.model.entities[2])


def test_a_heterograph_with_other_types(dgl: ModuleType, trained: TrainedModel) -> None:
    edges = {("person", "owns", "dog"): ([0, 1], [0, 0]), ("person", "knows", "person"): ([0], [1])}
    graph = dgl.heterograph(edges)
    trained.attach(graph, ["bob", "cat"], ntype="person")
    assert torch.equal(graph.nodes["person"].data["embedding"], trained.model.entities[[1, 2]])
    assert "embedding" not in graph.nodes["dog"].data
    with pytest.raises(InputError, match="several types of nodes; say which with ntype: dog, person"):
        trained.attach(graph, ["bob", "cat"])
    with pytest.raises(InputError, match="no nodes of type 'cat'"):
        trained.attach(graph, ["bob", "cat"], ntype="cat")


def test_a_networkx_graph_by_way_of_dgl(dgl: ModuleType, trained: TrainedModel) -> None:
    graph = networkx.DiGraph([("dan", "eve"), ("eve", "ann")])
    trained.attach(converted := dgl.from_networkx(graph), list(graph.nodes))
    assert torch.equal(converted.ndata["embedding"], trained.model.entities[[3, 4, 0]])


def test_nodes_that_do_not_fit(dgl: ModuleType, trained: TrainedModel) -> None:
    graph = dgl.graph(([0], [1]))
    with pytest.raises(InputError, match="2 nodes and family 5 entities; say which is which with nodes"):
        trained.attach(graph)
    with pytest.raises(InputError, match="3 nodes were given for a graph of 2"):
        trained.attach(graph, [0, 1, 2])
    with pytest.raises(InputError, match=r"outside 0\.\.4 \(found 0\.\.9\)"):
        trained.attach(graph, [0, 9])


# -------------------------------------------------------------------- starting from embeddings


def test_rows_are_taken_over_by_label(family: KnowledgeGraph) -> None:
    model = TransE(5, 2, 3)
    before = model.entities.detach().clone()
    rows = torch.arange(9.0).view(3, 3)
    counts = start_from(model, family, {"entities": Table(["dan", "stranger", "ann"], rows)})
    assert counts == {"entities": 2, "relations": 0}
    assert torch.equal(model.entities[[3, 0]], rows[[0, 2]])
    assert torch.equal(model.entities[[1, 2, 4]], before[[1, 2, 4]])


def test_relations_only_where_they_are_as_wide(family: KnowledgeGraph) -> None:
    rotate, complex_ = RotatE(5, 2, 3), ComplEx(5, 2, 3)
    assert start_from(rotate, family, tables_of(complex_, family)) == {"entities": 5, "relations": 0}
    assert start_from(ComplEx(5, 2, 3), family, tables_of(complex_, family)) == {"entities": 5, "relations": 2}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Table(["ann"], torch.ones(1, 4)), "4 numbers wide, those of a TransE model of this dimension 3"),
        (Table(["x"], torch.ones(1, 3)), "none of the embeddings' labels is an entity of family"),
        (Table(["ann"], torch.full((1, 3), torch.nan)), "not finite"),
    ],
)
def test_embeddings_that_do_not_fit(family: KnowledgeGraph, table: Table, message: str) -> None:
    with pytest.raises(InputError, match=message):
        start_from(TransE(5, 2, 3), family, {"entities": table})


def test_training_starts_from_a_run_and_resumes_without_it(
    run_folder: Path, grid: KnowledgeGraph, tmp_path: Path
) -> None:
    options = {"dim": 8, "steps": 6, "valid_every": 3, "batch_size": 32, "negatives": 16, "seed": 1}
    run = emugraph.train(grid, "distmult", output=tmp_path / "fine", init_from=run_folder, **options)
    plain = emugraph.train(grid, "distmult", output=tmp_path / "plain", **options)
    old = emugraph.load(run_folder)
    moved = (run.model.entities - old.model.entities).abs().mean()
    assert moved < (plain.model.entities - old.model.entities).abs().mean() / 2

    class Stop(emugraph.Callback):
        def on_step(self, trainer: object, loss: object) -> None:
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        emugraph.train(grid, "distmult", output=tmp_path / "cut", init_from=run_folder, callbacks=[Stop()], **options)
    (run_folder / "weights.safetensors").unlink()  # it is needed no more
    resumed = emugraph.resume(tmp_path / "cut")
    assert torch.equal(resumed.model.entities, run.model.entities)
    assert resumed.metrics["test"] == run.metrics["test"]
