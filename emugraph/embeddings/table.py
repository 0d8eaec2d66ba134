"""Embeddings with their labels: out of a model, and into other models and DGL graphs.

A row is what a model keeps of an entity or relation (:class:`emugraph.models.Model`): of ComplEx and RotatE, an
entity's row holds all real parts and then all imaginary parts, and a relation's row of RotatE its phases in radians.
Reciprocal relations have rows of their own, labelled by the relation's label and ``^-1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from emugraph import _dgl
from emugraph.data.graph import ENTITY, KnowledgeGraph
from emugraph.errors import InputError
from emugraph.models import Model

if TYPE_CHECKING:
    import dgl

INVERSE = "^-1"
PARTS = ("entities", "relations")


@dataclass(frozen=True)
class Table:
    """Rows with labels.

    Args:
        labels: one a row.
        rows: float32 (n, w).
        names: readable names beside the labels, None where there is none.

    Raises:
        InputError: there are not as many labels as rows, or a label stands twice.
    """

    labels: list[str]
    rows: Tensor
    names: Sequence[str | None] | None = None

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or len(self.labels) != len(self.rows):
            raise InputError(f"{len(self.labels)} labels were given for embeddings of shape {tuple(self.rows.shape)}")
        if len(set(self.labels)) != len(self.labels):
            raise InputError("a label stands twice among the embeddings")

    def numpy(self) -> np.ndarray:
        """The rows as a numpy array, float32 (n, w)."""
        return self.rows.numpy()

    def to_pandas(self) -> Any:
        """A pandas frame with the labels as its index. Raises InputError if pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise InputError("pandas is not installed; pip install 'emugraph[pandas]'") from error
        return pandas.DataFrame(self.rows.numpy(), index=pandas.Index(self.labels, dtype=object))


def tables_of(model: Model, kg: KnowledgeGraph) -> dict[str, Table]:
    """A model's tables, "entities" and "relations", copied to the CPU."""
    relations = list(kg.relations.labels)
    if model.reciprocal:
        relations += [label + INVERSE for label in relations]
    entities = Table(list(kg.entities.labels), model.entities.detach().cpu().clone(), kg.entity_names)
    return {"entities": entities, "relations": Table(relations, model.relations.detach().cpu().clone())}


@torch.no_grad()
def start_from(model: Model, kg: KnowledgeGraph, tables: dict[str, Table]) -> dict[str, int]:
    """Give a model the rows of embeddings that exist, by label; what has none keeps its own.

    Relations are taken over where their rows are as wide; else they keep their own.

    Args:
        model: a new model.
        kg: its graph.
        tables: of :func:`read_embeddings`.

    Returns:
        how many rows of each part were taken over.

    Raises:
        InputError: the entities' rows are of another width, not finite, or no entity is among them.
    """
    counts = {}
    for part, own in tables_of(model, kg).items():
        existing = tables.get(part)
        if existing is None or (part == "relations" and existing.rows.shape[1] != own.rows.shape[1]):
            counts[part] = 0
            continue
        if existing.rows.shape[1] != own.rows.shape[1]:
            raise InputError(
                f"the embeddings are {existing.rows.shape[1]} numbers wide, those of a {type(model).title} model "
                f"of this dimension {own.rows.shape[1]}; choose another --dim or --model"
            )
        if not existing.rows.isfinite().all():
            raise InputError("the embeddings hold numbers that are not finite")
        places = {label: place for place, label in enumerate(existing.labels)}
        shared = [(row, places[label]) for row, label in enumerate(own.labels) if label in places]
        if not shared and part == "entities":
            raise InputError(f"none of the embeddings' labels is an entity of {kg.name}")
        if shared:
            to, source = torch.tensor(shared, device="cpu").unbind(dim=1)
            table = getattr(model, part)
            table[to.to(table.device)] = existing.rows[source].to(table.device)
        counts[part] = len(shared)
    return counts


def attach(
    rows: Tensor,
    kg: KnowledgeGraph,
    graph: dgl.DGLGraph,
    nodes: Sequence[str | int | None] | Tensor | None,
    field: str,
    ntype: str | None,
) -> dgl.DGLGraph:
    """Put embeddings (N, w) into a graph's node data; see :meth:`emugraph.TrainedModel.attach`."""
    dgl = _dgl.load("attach changes a DGL graph")
    if ntype is None:
        ntype = ENTITY if ENTITY in graph.ntypes else graph.ntypes[0]
        if len(graph.ntypes) > 1 and ntype != ENTITY:
            raise InputError(f"the graph has several types of nodes; say which with ntype: {', '.join(graph.ntypes)}")
    elif ntype not in graph.ntypes:
        raise InputError(f"the graph has no nodes of type {ntype!r}; known: {', '.join(graph.ntypes)}")
    count, data = graph.num_nodes(ntype), graph.nodes[ntype].data
    if nodes is None and dgl.NID in data:
        nodes = data[dgl.NID]
    if nodes is None:
        if count != len(rows):
            raise InputError(
                f"the graph has {count:,} nodes and {kg.name} {len(rows):,} entities; say which is which with nodes: "
                "the label or id of each node's entity, None where it is none"
            )
        ids = torch.arange(count, device="cpu")
    elif isinstance(nodes, Tensor):
        ids = nodes.to("cpu", torch.int64)
    else:
        places = [kg.entities.get(node) if isinstance(node, str) else node for node in nodes]
        ids = torch.tensor([-1 if place is None else place for place in places], dtype=torch.int64, device="cpu")
    if len(ids) != count:
        raise InputError(f"{len(ids):,} nodes were given for a graph of {count:,}")
    if len(ids) and not -1 <= int(ids.min()) <= int(ids.max()) < len(rows):
        raise InputError(f"an id is outside 0..{len(rows) - 1} (found {int(ids.min())}..{int(ids.max())})")
    known = ids >= 0
    values = torch.zeros(count, rows.shape[1], dtype=rows.dtype, device="cpu")
    values[known] = rows.cpu()[ids[known]]
    data[field] = values.to(graph.device)
    if not known.all():
        data[f"{field}_known"] = known.to(graph.device)
    return graph
