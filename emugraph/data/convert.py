"""Knowledge graphs from other forms, and back: labelled triples, files, pandas, networkx, DGL."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from emugraph import _dgl
from emugraph.data.answer_index import PIECE
from emugraph.data.triple_files import LabelledSplits
from emugraph.data.vocabulary import Vocabulary
from emugraph.errors import InputError
from emugraph.io.atomic import replacing
from emugraph.types import SPLITS

if TYPE_CHECKING:
    import dgl
    import networkx
    import pandas

Triple = tuple[str, str, str]


def from_triples(
    train: Iterable[Triple],
    valid: Iterable[Triple] = (),
    test: Iterable[Triple] = (),
) -> LabelledSplits:
    """Ids from labelled triples (head, relation, tail); a pandas frame's rows serve too.

    Ids are given in the order of first appearance: train, then valid, then test.

    Raises:
        InputError: an item is not three strings.
    """
    entities: dict[str, int] = {}
    relations: dict[str, int] = {}
    splits = {}
    for split, triples in zip(SPLITS, (train, valid, test), strict=True):
        ids = array("q")
        for position, triple in enumerate(_rows(triples)):
            if not isinstance(triple, list | tuple) or [isinstance(x, str) for x in triple] != [True] * 3:
                raise InputError(
                    f"{split} triple {position} is {triple!r}; expected three strings (head, relation, tail)"
                )
            head, relation, tail = triple
            ids.append(entities.setdefault(head, len(entities)))
            ids.append(relations.setdefault(relation, len(relations)))
            ids.append(entities.setdefault(tail, len(entities)))
        splits[split] = torch.from_numpy(np.array(ids, dtype=np.int64).reshape(-1, 3))
    return LabelledSplits(Vocabulary(entities, "entity"), Vocabulary(relations, "relation"), splits)


def from_networkx(graph: networkx.Graph, *, relation: str = "relation") -> LabelledSplits:
    """Ids from a networkx (multi)graph whose edges carry their relation, and optionally their split.

    Nodes become entities by ``str(node)``; an edge's relation is its key in a multigraph or else its attribute
    ``relation``; its attribute ``split`` ("train" where absent) says where it goes. An undirected edge becomes
    the one triple in the direction networkx reports.

    Raises:
        InputError: an edge has no relation, an unknown split, or two nodes have the same label.
    """
    entities = Vocabulary(map(str, graph.nodes), "entity")
    ids = {node: i for i, node in enumerate(graph.nodes)}
    relations: dict[str, int] = {}
    splits: dict[str, list[tuple[int, int, int]]] = {split: [] for split in SPLITS}
    edges = graph.edges(keys=True, data=True) if graph.is_multigraph() else graph.edges(data=True)
    for head, tail, *key, data in edges:
        label = data.get(relation, key[0] if key and isinstance(key[0], str) else None)
        if label is None:
            raise InputError(f"the edge {head!r} -> {tail!r} has no attribute {relation!r}; set it on every edge")
        split = data.get("split", "train")
        if split not in splits:
            raise InputError(f"the edge {head!r} -> {tail!r} has split {split!r}; known: {', '.join(SPLITS)}")
        relation_id = relations.setdefault(str(label), len(relations))
        splits[split].append((ids[head], relation_id, ids[tail]))
    tensors = {s: torch.tensor(t, dtype=torch.int64, device="cpu").reshape(-1, 3) for s, t in splits.items()}
    return LabelledSplits(entities, Vocabulary(relations, "relation"), tensors)


def from_dgl(
    graph: dgl.DGLGraph,
    valid: torch.Tensor | None = None,
    test: torch.Tensor | None = None,
) -> LabelledSplits:
    """Ids from a DGL heterograph: each edge type a relation, each edge a training triple.

    With one node type, entity i is node i. With several, the types' nodes follow each other in the order of
    ``graph.ntypes``, labelled "type:number". Two edge types of one name between different node types are
    labelled "source:name:target".

    Raises:
        EmugraphError: DGL is not installed.
    """
    _dgl.load("from_dgl takes a DGL graph")
    counts = [graph.num_nodes(t) for t in graph.ntypes]
    offset = dict(zip(graph.ntypes, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))
    if len(counts) == 1:
        labels: Iterable[str] = map(str, range(counts[0]))
    else:
        labels = (f"{t}:{i}" for t, n in zip(graph.ntypes, counts, strict=True) for i in range(n))
    unique = len(set(graph.etypes)) == len(graph.etypes)
    relations = [e if unique else f"{s}:{e}:{d}" for s, e, d in graph.canonical_etypes]
    parts = []
    for relation, etype in enumerate(graph.canonical_etypes):
        heads, tails = graph.edges(etype=etype, order="eid")
        heads, tails = heads.cpu().long() + offset[etype[0]], tails.cpu().long() + offset[etype[2]]
        parts.append(torch.stack([heads, torch.full_like(heads, relation), tails], dim=1))
    empty = torch.empty(0, 3, dtype=torch.int64, device="cpu")
    splits = {
        "train": torch.cat(parts) if parts else empty,
        "valid": empty if valid is None else valid,
        "test": empty if test is None else test,
    }
    return LabelledSplits(Vocabulary(labels, "entity"), Vocabulary(relations, "relation"), splits)


def to_triples(data: LabelledSplits, split: str) -> list[Triple]:
    """The labelled triples (head, relation, tail) of a split."""
    return list(_labelled(data, split))


def _labelled(data: LabelledSplits, split: str) -> Iterator[Triple]:
    entities, relations = list(data.entities), list(data.relations)  # so that triples share their labels
    for piece in data.splits[split].split(PIECE):
        yield from ((entities[h], relations[r], entities[t]) for h, r, t in piece.tolist())


def to_pandas(data: LabelledSplits, split: str) -> pandas.DataFrame:
    """The labelled triples of a split as a frame with the columns head, relation, tail.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise InputError("pandas is not installed; pip install 'emugraph[pandas]'") from error
    return pandas.DataFrame(to_triples(data, split), columns=["head", "relation", "tail"], dtype=object)


def to_files(data: LabelledSplits, folder: Path, format: str) -> None:
    """Write train, valid and test as ``train.tsv`` or ``train.csv`` and so on, each whole or not at all.

    Args:
        data: the triples.
        folder: made if it does not exist.
        format: "tsv", which has no quoting, or "csv", which takes any label.

    Raises:
        InputError: an unknown format, or a label that the format cannot hold.
    """
    if format not in ("tsv", "csv"):
        raise InputError(f"unknown format {format!r}; known: tsv, csv")
    for label in chain(data.entities, data.relations) if format == "tsv" else ():
        if any(c in label for c in "\t\n\r\ufeff"):
            raise InputError(f"the label {label!r} holds a tab, a line end or a byte order mark; use csv")
    for split in SPLITS:
        with replacing(folder / f"{split}.{format}") as path, path.open("w", encoding="utf-8", newline="") as file:
            if format == "csv":
                csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(_labelled(data, split))
            else:
                file.writelines("\t".join(triple) + "\n" for triple in _labelled(data, split))


def to_networkx(data: LabelledSplits, splits: Iterable[str]) -> networkx.MultiDiGraph:
    """A MultiDiGraph: nodes are entity labels, edges have ``key`` and ``relation`` (label) and ``split``.

    Duplicate triples within the chosen splits keep one edge (the last split's).
    """
    import networkx

    graph = networkx.MultiDiGraph()
    graph.add_nodes_from(data.entities)
    for split in splits:
        for head, relation, tail in _labelled(data, split):
            graph.add_edge(head, tail, key=relation, relation=relation, split=split)
    return graph


def _rows(triples: Any) -> Iterable[Any]:
    """The rows of a pandas frame, by the names of its columns where these say it, or the iterable itself."""
    if not hasattr(triples, "itertuples"):
        return triples
    named = ["head", "relation", "tail"]
    return (triples[named] if set(named) <= set(triples.columns) else triples).itertuples(index=False, name=None)
