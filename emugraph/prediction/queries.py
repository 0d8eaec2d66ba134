"""Questions to a trained model and its answers, in terms of labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

from emugraph.data.triple_files import read_triples
from emugraph.errors import InputError
from emugraph.types import COLUMN, Part

Entity: TypeAlias = str | int
"""An entity or relation, by its label (an entity also by its name, where only one has it) or by its id."""

Question: TypeAlias = tuple[Entity | None, Entity | None, Entity | None]
"""Head, relation and tail, one of which is None: that is what is asked for."""


class Prediction(NamedTuple):
    """One answer to a question.

    Args:
        head, relation, tail: the triple that it makes, by labels.
        head_name, tail_name: readable names, where there are any.
        asked: which part was asked for, "head", "relation" or "tail".
        rank: 1 for the best answer of the question.
        score: the model's score.
        probability: see :class:`emugraph.prediction.calibration.Calibration`; None where there is nothing to fit it on.
        known: the split in which the triple stands, None for a new one.
    """

    head: str
    relation: str
    tail: str
    head_name: str | None
    tail_name: str | None
    asked: Part
    rank: int
    score: float
    probability: float | None
    known: str | None


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
        entity: the one that was asked about, by its label.
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


def asked_part(question: Question) -> Part:
    """What a question asks for. Raises InputError if that is nothing or several things."""
    if len(question) != 3:
        raise InputError(f"{question!r:.80} is not head, relation and tail")
    missing = [part for part, value in zip(COLUMN, question, strict=True) if value is None]
    if len(missing) != 1:
        raise InputError("one of head, relation and tail must be left open, which is what is asked for")
    return missing[0]


def read_questions(path: Path) -> list[Question]:
    """Questions from a file of triples, with "?" or nothing for what is asked; see :mod:`emugraph.data.triple_files`.

    Raises:
        InputError: the file cannot be read, or a line asks for nothing or for several things.
    """
    questions: list[Question] = []
    for line, triple in enumerate(read_triples(path), start=1):
        head, relation, tail = (None if label in ("", "?") else label for label in triple)
        try:
            asked_part((head, relation, tail))
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        questions.append((head, relation, tail))
    return questions
