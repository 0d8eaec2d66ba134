"""A knowledge graph: vocabularies, splits, and its training triples as a DGL heterograph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from emugraph import _dgl
from emugraph.data import convert, triple_files
from emugraph.data.answer_index import PIECE, among, query_keys
from emugraph.data.label_index import LabelIndex
from emugraph.data.label_store import Labels
from emugraph.data.stored_triples import StoredRows
from emugraph.data.vocabulary import SMALL, Vocabulary
from emugraph.errors import InputError, nearest
from emugraph.types import SPLITS

if TYPE_CHECKING:
    import dgl
    import networkx
    import pandas

    from emugraph.data.convert import Triple

ENTITY = "entity"

MOST_LABELS = 2**31 - 1
"""Entities or relations of a graph at most: files have ids of 32 bits, and a query of two ids has one of 64."""


_SORTED_WHOLE = 1 << 22
"""Triples of a split up to which their keys are sorted once and kept, to look triples up."""


@dataclass(eq=False)
class KnowledgeGraph:
    """Entities, relations and the triples (head, relation, tail) between them.

    Splits of a run's folder stay in their file until all of one is read; :meth:`pieces` and :meth:`count` do not.

    Args:
        entities: the entities' labels.
        relations: the relations' labels.
        train: ids of the training triples, int64 (n, 3), columns head, relation, tail; they are kept on the CPU.
        valid: ids of the validation triples, same form.
        test: ids of the test triples, same form.
        name: what the graph is called, for messages and folders.
        entity_names: a readable name for each entity (None where there is none), or None.

    Raises:
        InputError: a tensor is not (n, 3), an id is out of range, or a name is no text (a lone surrogate).
    """

    entities: Vocabulary
    relations: Vocabulary
    train: torch.Tensor
    valid: torch.Tensor = field(default_factory=lambda: torch.empty(0, 3, dtype=torch.int64, device="cpu"))
    test: torch.Tensor = field(default_factory=lambda: torch.empty(0, 3, dtype=torch.int64, device="cpu"))
    name: str = "graph"
    entity_names: Sequence[str | None] | None = None

    def __post_init__(self) -> None:
        for kind, labels in (("entity", self.entities), ("relation", self.relations)):
            if not isinstance(labels, Vocabulary):
                raise InputError(f"the {kind} labels are {labels!r:.50}; wrap them: Vocabulary(labels, {kind!r})")
            if len(labels) > MOST_LABELS:
                raise InputError(f"{len(labels):,} {kind} labels are too many; there can be {MOST_LABELS:,}")
        self._stored: dict[str, StoredRows] = {}
        for split in SPLITS:
            triples: torch.Tensor | StoredRows = self.__dict__.pop(split)
            if isinstance(triples, StoredRows):
                for piece in triples.pieces():
                    self.checked(piece, f"{split} triples")
                self._stored[split] = triples
            else:
                setattr(self, split, self.checked(triples, f"{split} triples").cpu())
        if self.entity_names is not None and len(self.entity_names) != len(self.entities):
            raise InputError(f"{len(self.entity_names)} names were given for {len(self.entities)} entities")
        if self.entity_names is not None and not isinstance(self.entity_names, Labels):
            self.entity_names = Labels(self.entity_names, "name")

    def checked(self, triples: torch.Tensor, what: str = "triples") -> torch.Tensor:
        """Triples as int64 (n, 3), contiguous. Raises InputError if they are not ids of this graph."""
        triples = triples if isinstance(triples, torch.Tensor) else torch.tensor(triples, device="cpu")
        if triples.is_floating_point() or triples.is_complex():
            raise InputError(f"the {what} are {triples.dtype}; expected whole numbers, ids of the vocabularies")
        triples = triples.to(torch.int64)
        if triples.ndim != 2 or triples.shape[1] != 3:
            raise InputError(f"the {what} have shape {tuple(triples.shape)}; expected (n, 3)")
        for column, size, role in ((0, self.num_entities, "head"), (1, self.num_relations, "relation"),
                                   (2, self.num_entities, "tail")):  # fmt: skip
            ids = triples[:, column]
            if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= size):
                raise InputError(
                    f"a {role} id in the {what} is outside 0..{size - 1} (found {int(ids.min())}.."
                    f"{int(ids.max())}); ids must index the vocabulary"
                )
        return triples.contiguous()

    # ---------------------------------------------------------------- from and to other forms

    @classmethod
    def _of(cls, read: triple_files.LabelledSplits, name: str) -> KnowledgeGraph:
        train, valid, test = (read.splits[split] for split in SPLITS)
        return cls(read.entities, read.relations, train, valid, test, name)

    def _labelled(self) -> triple_files.LabelledSplits:
        return triple_files.LabelledSplits(
            self.entities, self.relations, {split: self.triples(split) for split in SPLITS}
        )

    @classmethod
    def from_triples(
        cls,
        train: Iterable[Triple],
        valid: Iterable[Triple] = (),
        test: Iterable[Triple] = (),
        *,
        name: str = "graph",
    ) -> KnowledgeGraph:
        """A graph from labelled triples or pandas frames; see :func:`emugraph.data.convert.from_triples`."""
        return cls._of(convert.from_triples(train, valid, test), name)

    @classmethod
    def from_files(
        cls, path: str | Path, *, split: tuple[float, float, float] | None = None, seed: int = 0
    ) -> KnowledgeGraph:
        """A graph from a folder with train, valid and test files, or from one file and shares to split it by.

        Args:
            path: the folder, or the file when ``split`` is given (formats: :mod:`emugraph.data.triple_files`).
            split: the shares of train, valid and test, summing to 1.
            seed: the seed of the split.

        Raises:
            InputError: a file cannot be read or split.
        """
        path = Path(path)
        if path.is_file() and split is None:
            raise InputError(f"{path} is one file; say how to split it, for example --split 0.8,0.1,0.1")
        if split is not None and path.is_dir():
            raise InputError(f"{path} is a folder, which holds its own splits; give one file or leave out the split")
        read = triple_files.read_folder(path) if split is None else triple_files.read_and_split(path, split, seed)
        name = path.resolve().name.split(".")[0] or "graph"
        return cls._of(read, name.encode("utf-8", "replace").decode("utf-8"))

    @classmethod
    def from_networkx(cls, graph: networkx.Graph, *, relation: str = "relation") -> KnowledgeGraph:
        """A graph from a networkx (multi)graph; see :func:`emugraph.data.convert.from_networkx`."""
        return cls._of(convert.from_networkx(graph, relation=relation), graph.name or "graph")

    @classmethod
    def from_dgl(
        cls,
        graph: dgl.DGLGraph,
        valid: torch.Tensor | None = None,
        test: torch.Tensor | None = None,
        *,
        name: str = "graph",
    ) -> KnowledgeGraph:
        """A graph from a DGL heterograph; see :func:`emugraph.data.convert.from_dgl`."""
        return cls._of(convert.from_dgl(graph, valid, test), name)

    def to_triples(self, split: str = "train") -> list[Triple]:
        """The labelled triples of a split."""
        return convert.to_triples(self._labelled(), self._known_split(split))

    def to_pandas(self, split: str = "train") -> pandas.DataFrame:
        """The labelled triples of a split as a frame with columns head, relation, tail."""
        return convert.to_pandas(self._labelled(), self._known_split(split))

    def to_networkx(self, splits: Iterable[str] = SPLITS) -> networkx.MultiDiGraph:
        """A networkx MultiDiGraph with labels; see :func:`emugraph.data.convert.to_networkx`."""
        graph = convert.to_networkx(self._labelled(), map(self._known_split, splits))
        graph.name = self.name
        return graph

    def to_files(self, folder: str | Path, format: str = "tsv") -> None:
        """Write train, valid and test as files of labels; see :func:`emugraph.data.convert.to_files`."""
        convert.to_files(self._labelled(), Path(folder), format)

    # ---------------------------------------------------------------- views

    @property
    def num_entities(self) -> int:
        """The number of entities, N."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """The number of relations, R."""
        return len(self.relations)

    def triples(self, split: str) -> torch.Tensor:
        """The triples of a split, int64 (n, 3). Raises InputError for an unknown split."""
        triples: torch.Tensor = getattr(self, self._known_split(split))
        return triples

    def pieces(self, split: str) -> Iterator[torch.Tensor]:
        """The triples of a split in their order, some at a time, int64 (at most PIECE, 3): what is in a file is read,
        and not kept. Raises InputError for an unknown split."""
        stored = self._stored.get(self._known_split(split))
        return iter(self.triples(split).split(PIECE)) if stored is None else stored.pieces()

    def count(self, split: str) -> int:
        """The number of triples of a split. Raises InputError for an unknown split."""
        stored = self._stored.get(self._known_split(split))
        return len(self.triples(split) if stored is None else stored)

    @staticmethod
    def _known_split(split: str) -> str:
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
        return split

    @cached_property
    def graph(self) -> dgl.DGLGraph:
        """The training triples as a DGL heterograph: node type "entity", an edge type per relation.

        The edge types are the relations' labels. DGL sorts edge types by name, so that their order in
        ``graph.etypes`` need not be that of the relation ids; within a type, edges keep the order of the triples.

        Raises:
            EmugraphError: DGL is not installed.
        """
        dgl = _dgl.load("kg.graph is a DGL graph")
        order = torch.argsort(self.train[:, 1], stable=True)
        heads, relations, tails = self.train[order].unbind(dim=1)
        counts = torch.bincount(relations, minlength=self.num_relations).tolist()
        edges = {
            (ENTITY, label, ENTITY): (head, tail)
            for label, head, tail in zip(self.relations, heads.split(counts), tails.split(counts), strict=True)
        }
        with torch.device("cpu"):  # DGL's own tensors are on the default device
            return dgl.heterograph(edges, num_nodes_dict={ENTITY: self.num_entities})

    @cached_property
    def homogeneous(self) -> dgl.DGLGraph:
        """The training triples as one DGL graph: edge i is training triple i, its relation in ``edata["relation"]``.

        Raises:
            EmugraphError: DGL is not installed.
        """
        dgl = _dgl.load("kg.homogeneous is a DGL graph")
        heads, relations, tails = self.train.unbind(dim=1)
        with torch.device("cpu"):
            graph = dgl.graph((heads, tails), num_nodes=self.num_entities)
            graph.edata["relation"] = relations
        return graph

    def entity_id(self, label: str) -> int:
        """The id of an entity given by its label or, where only one entity has it, by its readable name.

        Raises:
            InputError: unknown, or a name that several entities share.
        """
        entity = self.entities.get(label)
        if entity is not None:
            return entity
        named = self._by_name.all(label)
        if len(named) == 1:
            return named[0]
        if named:
            some = ", ".join(self.entities[i] for i in named[:5])
            raise InputError(f"{len(named)} entities are named {label!r}; say which by its id: {some}")
        raise InputError(f"unknown entity {label!r}.{self.entities.hint(label) or self._alike_name(label)}")

    def _alike_name(self, label: str) -> str:
        """A hint at the names that resemble a label, where there are not too many to compare."""
        names = self.entity_names or ()
        return nearest(label, filter(None, names)) if len(names) <= SMALL else ""

    @cached_property
    def _by_name(self) -> LabelIndex:
        names = self.entity_names or ()
        return LabelIndex(names if isinstance(names, Labels) else Labels(names, "name"))

    def display(self, entity: int) -> str:
        """An entity for a reader: its label, and its readable name where it has one."""
        name = self.entity_names[entity] if self.entity_names is not None else None
        label = self.entities[entity]
        return label if name is None or name == label else f"{label} ({name})"

    def summary(self) -> dict[str, Any]:
        """Counts, and what is unusual in the data. All of it is kept, none is dropped.

        Keys: name, entities, relations, train, valid, test; ``duplicates`` (repeated triples within a split),
        ``self_loops`` (head = tail), ``valid_in_train``, ``test_in_train``, ``test_in_valid`` (triples that stand in
        an earlier split too), ``unseen_entities`` and ``unseen_relations`` (in no training triple), ``unseen_triples``
        (valid and test triples with such an entity or relation).
        """
        keys = {split: self._keys(self.triples(split)) for split in SPLITS}
        unique = {split: torch.unique(k) for split, k in keys.items()}
        seen_entities = torch.zeros(self.num_entities, dtype=torch.bool, device="cpu")
        seen_entities[self.train[:, 0]] = True
        seen_entities[self.train[:, 2]] = True
        seen_relations = torch.zeros(self.num_relations, dtype=torch.bool, device="cpu")
        seen_relations[self.train[:, 1]] = True
        held_out = torch.cat([self.valid, self.test])
        unseen = ~(seen_entities[held_out[:, 0]] & seen_relations[held_out[:, 1]] & seen_entities[held_out[:, 2]])
        every = torch.cat([self.train, held_out])
        return {
            "name": self.name,
            "entities": self.num_entities,
            "relations": self.num_relations,
            **{split: len(self.triples(split)) for split in SPLITS},
            "duplicates": sum(len(keys[s]) - len(unique[s]) for s in SPLITS),
            "self_loops": int((every[:, 0] == every[:, 2]).sum()),
            "valid_in_train": int(torch.isin(keys["valid"], unique["train"]).sum()),
            "test_in_train": int(torch.isin(keys["test"], unique["train"]).sum()),
            "test_in_valid": int(torch.isin(keys["test"], unique["valid"]).sum()),
            "unseen_entities": int((~seen_entities).sum()),
            "unseen_relations": int((~seen_relations).sum()),
            "unseen_triples": int(unseen.sum()),
        }

    def contains(self, triples: torch.Tensor, split: str) -> torch.Tensor:
        """Which triples stand in a split, bool (n,), for int64 ids (n, 3)."""
        keys = self._keys(triples)
        if self.count(split) <= _SORTED_WHOLE:
            if split not in self._sorted_keys:
                self._sorted_keys[split] = self._keys(self.triples(split)).sort().values
            return among(self._sorted_keys[split], keys)
        distinct, places = keys.unique(return_inverse=True)
        present = torch.zeros(len(distinct), dtype=torch.bool, device="cpu")
        for some in map(self._keys, self.pieces(split)):
            present[torch.searchsorted(distinct, some[among(distinct, some)])] = True
        return present[places]

    @cached_property
    def _sorted_keys(self) -> dict[str, torch.Tensor]:
        """Those of splits that were read."""
        return {}

    def _keys(self, triples: torch.Tensor) -> torch.Tensor:
        """One int64 a triple, distinct for distinct triples of the splits, and for another one none of theirs."""
        queries = query_keys(triples, self.num_relations, "tail")
        if self._queries is not None:
            place = torch.searchsorted(self._queries, queries)
            queries = torch.where(among(self._queries, queries), place, len(self._queries))
        return queries * self.num_entities + triples[:, 2]

    @cached_property
    def _queries(self) -> torch.Tensor | None:
        """The queries (head, relation) of all splits, ascending, whose places number them where there could be so many
        triples that their own numbers overflow; None where there cannot."""
        if self.num_entities**2 * self.num_relations < 2**63:
            return None
        pieces = (query_keys(piece, self.num_relations, "tail").unique() for s in SPLITS for piece in self.pieces(s))
        return torch.cat(list(pieces)).unique()

    if not TYPE_CHECKING:  # which would allow any name

        def __getattr__(self, name: str) -> torch.Tensor:
            """A split that is in a file, when all of it is first read."""
            stored = self.__dict__.get("_stored", {})
            if name not in stored:
                raise AttributeError(f"a KnowledgeGraph has no {name!r}")
            whole = self.__dict__[name] = stored[name].whole()
            del stored[name]
            return whole

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {split: self.triples(split) for split in SPLITS}

    def __repr__(self) -> str:
        counts = ", ".join(f"{split}={self.count(split):,}" for split in SPLITS)
        return (
            f"KnowledgeGraph({self.name!r}, entities={self.num_entities:,}, relations={self.num_relations:,}, {counts})"
        )
