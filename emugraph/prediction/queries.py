"""Queries to a trained model and its answers, in terms of labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

from emugraph._renamed import warn
from emugraph.data.triple_files import read_triples
from emugraph.errors import InputError
from emugraph.types import COLUMN, Part

Entity: TypeAlias = str | int
"""An entity or relation, by its label (an entity also by its name, where only one has it) or by its id."""

Query: TypeAlias = tuple[Entity | None, Entity | None, Entity | None]
"""Head, relation and tail, one of which is None: the target."""


class Prediction(NamedTuple):
    """One answer to a query.

    Args:
        head, relation, tail: the triple that it makes, by labels.
        head_name, tail_name: readable names, where there are any.
        target: which part was predicted, "head", "relation" or "tail".
        rank: 1 for the best answer of the query.
        score: the model's score.
        probability: see :class:`emugraph.prediction.calibration.Calibration`; None where there is nothing to fit it on.
        known: the split in which the triple stands, None for a new one.
    """

    head: str
    relation: str
    tail: str
    head_name: str | None
    tail_name: str | None
    target: Part
    rank: int
    score: float
    probability: float | None
    known: str | None

    @property
    def asked(self) -> Part:
        """The old name of ``target``."""
        warn("Prediction.asked", "Prediction.target")
        return self.target


class NewTriple(NamedTuple):
    """A triple that the graph does not have.

    Args:
        head, relation, tail: by labels.
        head_name, tail_name: readable names, where there are any.
        score: the model's score.
        tail_probability: of the tail as an answer for head and relation; None where there is nothing to fit it on.
        head_probability: of the head as an answer for relation and tail, likewise.
    """

    head: str
    relation: str
    tail: str
    head_name: str | None
    tail_name: str | None
    score: float
    tail_probability: float | None
    head_probability: float | None


class Similar(NamedTuple):
    """An entity that resembles another.

    Args:
        entity: the one that the others resemble, by its label.
        other: the one that resembles it.
        name: the other's readable name, if it has one.
        rank: 1 for the one that resembles it most.
        similarity: see :func:`emugraph.prediction.similarity.most_similar`.
    """

    entity: str
    other: str
    name: str | None
    rank: int
    similarity: float


def target_part(query: Query) -> Part:
    """What a query asks for. Raises InputError if that is nothing or several things."""
    if len(query) != 3:
        raise InputError(f"{query!r:.80} is not head, relation and tail")
    missing = [part for part, value in zip(COLUMN, query, strict=True) if value is None]
    if len(missing) != 1:
        raise InputError("leave out one of head, relation and tail: the target of the query")
    return missing[0]


def read_queries(path: Path) -> list[Query]:
    """Queries from a file of triples, with "?" or nothing for the target; see :mod:`emugraph.data.triple_files`.

    Raises:
        InputError: the file cannot be read, or a line asks for nothing or for several things.
    """
    queries: list[Query] = []
    for line, triple in enumerate(read_triples(path), start=1):
        head, relation, tail = (None if label in ("", "?") else label for label in triple)
        try:
            target_part((head, relation, tail))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        queries.append((head, relation, tail))
    return queries
