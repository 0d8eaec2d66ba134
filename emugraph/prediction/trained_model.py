"""A trained model together with its graph: ranking, scores and predictions in terms of labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from emugraph._renamed import keyword
from emugraph.data.graph import KnowledgeGraph
from emugraph.embeddings.table import PARTS, Table, attach, tables_of
from emugraph.errors import InputError
from emugraph.evaluation.breakdown import Rankings
from emugraph.evaluation.classification import choose_thresholds, classify
from emugraph.evaluation.ranking import Evaluator, summarize
from emugraph.models import Model
from emugraph.prediction.calibration import Calibration, fit, reliability
from emugraph.prediction.new_triples import find_triples
from emugraph.prediction.queries import Entity, NewTriple, Prediction, Query, Similar, target_part
from emugraph.prediction.similarity import most_similar
from emugraph.prediction.top_k import Answers, Predictor
from emugraph.types import COLUMN, SIDES, SPLITS, Part

if TYPE_CHECKING:
    import dgl


class TrainedModel:
    """A model and the graph that it was trained on.

    :class:`emugraph.Run` is one; a model from a training loop of your own makes another.

    Args:
        kg: the graph.
        model: the score function with its weights.
        calibrations: probabilities that are fitted already: of entities as answers, of relations. None for one that
            cannot be fitted; None for both where that has not been tried.
    """

    def __init__(
        self,
        kg: KnowledgeGraph,
        model: Model,
        calibrations: tuple[Calibration | None, Calibration | None] | None = None,
    ) -> None:
        self.kg = kg
        self.model = model
        self._calibrations = calibrations

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.entities.device

    @cached_property
    def predictor(self) -> Predictor:
        """Answers in terms of ids."""
        return Predictor(self.model, self.kg)

    def evaluate(
        self,
        split: str = "test",
        *,
        filtered: bool = True,
        ties: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Metrics of a split, computed now; see :meth:`emugraph.evaluation.ranking.Evaluator.evaluate`."""
        evaluator = Evaluator(self.kg)
        return evaluator.evaluate(self.model, split, filtered=filtered, ties=ties, advance=advance)

    def rankings(
        self, split: str = "test", *, filtered: bool = True, advance: Callable[[int], None] | None = None
    ) -> Rankings:
        """The rank of every true answer of a split, to be looked at closely: ``run.rankings().by("relation")``.

        Args:
            split: "train", "valid" or "test".
            filtered: leave out other answers known to be true.
            advance: called with the number of rankings done since the last call; there are 2n.

        Raises:
            InputError: the split is empty.
        """
        triples = self._some(split)
        evaluator = Evaluator(self.kg)
        ranks = [
            evaluator.ranks(self.model, triples, side, filtered=filtered, advance=advance).realistic for side in SIDES
        ]
        return Rankings(self.kg, triples, torch.stack(ranks, dim=1))

    def evaluate_relations(
        self, split: str = "test", *, advance: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Metrics of a split's relations, ranked among all that there could be between head and tail (filtered).

        Returns:
            as :meth:`evaluate` without sides.

        Raises:
            InputError: the split is empty.
        """
        ranks = self.predictor.relation_ranks(self._some(split), advance=advance)
        return summarize(ranks.realistic) | {"triples": len(ranks.optimistic), "filtered": True}

    def classify(
        self,
        negatives: Tensor | Iterable[tuple[Entity, Entity, Entity]],
        valid_negatives: Tensor | Iterable[tuple[Entity, Entity, Entity]] | None = None,
        split: str = "test",
    ) -> dict[str, Any]:
        """How well scores tell a split's triples from false ones.

        Args:
            negatives: false triples, by ids (m, 3) or labels.
            valid_negatives: others, which together with the validation triples choose each relation's threshold; None
                for no accuracy.
            split: whose triples are the true ones.

        Returns:
            see :func:`emugraph.evaluation.classification.classify`.

        Raises:
            InputError: unknown labels, no triples, or scikit-learn is not installed.
        """

        def scored(true: Tensor, false: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
            return self.score(true), self.score(false), (true[:, 1], false[:, 1])

        thresholds = None
        if valid_negatives is not None:
            thresholds = choose_thresholds(*scored(self._some("valid"), self.ids_of(valid_negatives)))
        return classify(*scored(self._some(split), self.ids_of(negatives)), thresholds)

    def _some(self, split: str) -> Tensor:
        """The triples of a split. Raises InputError if there are none."""
        triples = self.kg.triples(split)
        if not len(triples):
            raise InputError(f"the {split} split of {self.kg.name} is empty; there is nothing to rank")
        return triples

    # ---------------------------------------------------------------- scores and answers

    @torch.no_grad()
    def score(self, triples: Tensor | Iterable[tuple[Entity, Entity, Entity]]) -> Tensor:
        """The model's scores of triples, float32 (n,) on the CPU: of their tails, as answers for head and relation.

        Args:
            triples: ids, int64 (n, 3), or heads, relations and tails by labels.

        Raises:
            InputError: an unknown label, or ids that are not the graph's.
        """
        return self.model.score_triples(self.ids_of(triples).to(self.device)).cpu()

    def predict_tails(
        self, heads: Entity | Sequence[Entity], relations: Entity | Sequence[Entity], k: int = 10, **options: Any
    ) -> list[Prediction]:
        """The k best tails for each head and relation, one after the other; see :meth:`predict`.

        One head or relation serves all of the others.
        """
        return self.predict([(h, r, None) for h, r in _pairs(heads, relations)], k, **options)

    def predict_heads(
        self, relations: Entity | Sequence[Entity], tails: Entity | Sequence[Entity], k: int = 10, **options: Any
    ) -> list[Prediction]:
        """The k best heads for each relation and tail, one after the other; see :meth:`predict`."""
        return self.predict([(None, r, t) for r, t in _pairs(relations, tails)], k, **options)

    def predict_relations(
        self, heads: Entity | Sequence[Entity], tails: Entity | Sequence[Entity], k: int = 10, **options: Any
    ) -> list[Prediction]:
        """The k best relations between each head and tail, one after the other; see :meth:`predict`."""
        return self.predict([(h, None, t) for h, t in _pairs(heads, tails)], k, **options)

    @keyword("questions", "queries")
    def predict(
        self,
        queries: Iterable[Query],
        k: int = 10,
        *,
        new_only: bool = False,
        without: Collection[str] = (),
        advance: Callable[[int], None] | None = None,
    ) -> list[Prediction]:
        """The k best answers to each query, in the order of the queries.

        Args:
            queries: heads, relations and tails, with None for the target.
            k: how many answers; fewer where there are not so many.
            new_only: leave out all answers that are known, from train, valid and test.
            without: splits whose answers are left out, if not all.
            advance: called with the number of queries done since the last call.

        Raises:
            InputError: an unknown label, a query that asks for nothing or for several things, an unknown split.
        """
        by_target: dict[Part, list[tuple[int, tuple[int, int, int]]]] = {"tail": [], "head": [], "relation": []}
        queries = list(queries)
        for place, query in enumerate(queries):
            try:
                by_target[target_part(query)].append((place, self._ids(*query)))
            except InputError as error:
                raise InputError(f"query {place + 1}: {error}" if len(queries) > 1 else str(error)) from error
        rows: list[list[Prediction]] = [[] for _ in queries]
        for part, of_query in by_target.items():
            if of_query:
                places = [place for place, _ in of_query]
                triples = torch.tensor([ids for _, ids in of_query], dtype=torch.int64, device="cpu")
                answers = self.predictor.answer(
                    triples, part, k, without=SPLITS if new_only else without, advance=advance
                )
                for place, predictions in zip(places, self._worded(triples, part, answers), strict=True):
                    rows[place] = predictions
        return [prediction for predictions in rows for prediction in predictions]

    def predict_triples(
        self,
        relations: Entity | Sequence[Entity] | None = None,
        top: int = 100,
        *,
        advance: Callable[[int], None] | None = None,
    ) -> list[NewTriple]:
        """The most plausible triples that the graph does not have, exactly; see :func:`find_triples`.

        Args:
            relations: one or several; None for all.
            top: how many triples.
            advance: called with the number of heads done since the last call; there are 2N for each relation.

        Raises:
            InputError: an unknown relation, or a number below 1.
        """
        if relations is None:
            relation_ids = list(range(self.kg.num_relations))
        else:
            several = [relations] if isinstance(relations, str | int) else relations
            relation_ids = [_id(label, self.kg.relations.id, self.kg.num_relations) for label in several]
        best = find_triples(self.predictor, relation_ids, top, advance=advance)
        columns = [
            best.triples.tolist(),
            best.scores.tolist(),
            self._probabilities(best.tail_shares, "tail"),
            self._probabilities(best.head_shares, "head"),
        ]
        entities, names = self.kg.entities, self._names
        return [
            NewTriple(entities[h], self.kg.relations[r], entities[t], names[h], names[t], score, of_tail, of_head)
            for (h, r, t), score, of_tail, of_head in zip(*columns, strict=True)
        ]

    # ---------------------------------------------------------------- embeddings

    def similar(self, entities: Entity | Sequence[Entity], k: int = 10, *, measure: str = "cosine") -> list[Similar]:
        """The k entities that resemble each entity most, one after the other.

        Args:
            entities: one or several.
            k: how many for each.
            measure: "cosine" or "model"; see :func:`emugraph.prediction.similarity.most_similar`.

        Raises:
            InputError: an unknown entity or measure.
        """
        several = [entities] if isinstance(entities, str | int) else entities
        ids = [_id(entity, self.kg.entity_id, self.kg.num_entities) for entity in several]
        neighbors = most_similar(self.model, torch.tensor(ids, dtype=torch.int64, device="cpu"), k, measure)
        labels, names = self.kg.entities, self._names
        return [
            Similar(labels[i], labels[other], names[other], rank, similarity)
            for i, others, similarities in zip(ids, *(part.tolist() for part in neighbors), strict=True)
            for rank, (other, similarity) in enumerate(zip(others, similarities, strict=True), start=1)
        ]

    def embeddings(self, part: str = "entities") -> Table:
        """The embeddings of "entities" or "relations" with their labels, a copy: ``.rows`` (a tensor), ``.numpy()``,
        ``.to_pandas()``. What a row holds: :mod:`emugraph.embeddings.table`.

        Raises:
            InputError: an unknown part.
        """
        if part not in PARTS:
            raise InputError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
        return tables_of(self.model, self.kg)[part]

    def attach(
        self,
        graph: dgl.DGLGraph,
        nodes: Sequence[Entity | None] | Tensor | None = None,
        *,
        field: str = "embedding",
        ntype: str | None = None,
    ) -> dgl.DGLGraph:
        """Put the entities' embeddings into a DGL graph's node data, in the order of its nodes, float32 (nodes, w).

        Args:
            graph: a homogeneous graph or a heterograph; changed in place.
            nodes: the entity of each node, by label or id, None or -1 where it is none; labels that are no entity's
                count as such. None: what a subgraph of DGL's says (``dgl.NID``), or the entities in their order.
            field: the name in ``ndata``. Where some nodes are no entity, they have zeros, and ``field + "_known"``
                says which are (bool).
            ntype: the type of nodes, for a heterograph; by default "entity", or the only one.

        Returns:
            the graph.

        Raises:
            InputError: the nodes are not as many as the graph's, an id is out of range, or there is no such type.
            EmugraphError: DGL is not installed.
        """
        return attach(self.model.entities.detach(), self.kg, graph, nodes, field, ntype)

    # ---------------------------------------------------------------- probabilities

    @property
    def calibrations(self) -> tuple[Calibration | None, Calibration | None]:
        """Probabilities of entities as answers, and of relations, fitted on the validation triples when they are first
        needed; None where there are no validation triples besides those that are in training too, or none of them has
        a score that is a finite number."""
        if self._calibrations is None and self.kg.contains(self.kg.valid, "train").all():
            self._calibrations = None, None
        if self._calibrations is None:
            self._calibrations = fit(self.predictor, ("tail", "head")), fit(self.predictor, ("relation",))
        return self._calibrations

    def reliability(self, split: str = "test") -> dict[str, Any]:
        """What probabilities promise and what is found; see :func:`emugraph.prediction.calibration.reliability`.

        Raises:
            InputError: there are no validation triples to fit probabilities on, or the split is empty.
        """
        calibration = self.calibrations[0]
        if calibration is None:
            raise InputError(
                f"{self.kg.name} has no validation triples to fit probabilities on that training does not have and "
                "whose scores are finite"
            )
        return reliability(self.predictor, calibration, split)

    def _probabilities(self, shares: Tensor, part: Part) -> list[Any]:
        """Probabilities as nested lists of the shape of the shares, of None where there are none."""
        calibration = self.calibrations[part == "relation"]
        probabilities = np.full(shares.shape, None)
        if calibration is not None:
            probabilities = calibration.probabilities(shares).numpy()
            if shares.isnan().any():
                probabilities = np.where(shares.isnan(), None, probabilities)  # type: ignore[call-overload]
        nested: list[Any] = probabilities.tolist()
        return nested

    # ---------------------------------------------------------------- labels

    def ids_of(self, triples: Tensor | Iterable[tuple[Entity, Entity, Entity]]) -> Tensor:
        """Triples by ids, int64 (n, 3). Raises InputError for an unknown label, or ids that are not the graph's."""
        if isinstance(triples, Tensor):
            return self.kg.checked(triples)
        ids = []
        for triple in triples:
            if isinstance(triple, str) or len(triple) != 3:
                raise InputError(f"{triple!r:.80} is not head, relation and tail")
            ids.append(self._ids(*triple))
        return torch.tensor(ids, dtype=torch.int64, device="cpu").view(-1, 3)

    def _ids(self, head: Entity | None, relation: Entity | None, tail: Entity | None) -> tuple[int, int, int]:
        """Ids; 0 for None."""
        entities = self.kg.num_entities
        return (
            0 if head is None else _id(head, self.kg.entity_id, entities),
            0 if relation is None else _id(relation, self.kg.relations.id, self.kg.num_relations),
            0 if tail is None else _id(tail, self.kg.entity_id, entities),
        )

    def _worded(self, triples: Tensor, part: Part, answers: Answers) -> list[list[Prediction]]:
        """The answers to each query with labels."""
        entities, relations = self.kg.entities.labels, self.kg.relations.labels
        names, rows = self._names, []
        for triple_ids, *values in zip(
            triples.tolist(),
            answers.ids.tolist(),
            answers.scores.tolist(),
            self._probabilities(answers.shares, part),
            answers.known.tolist(),
            strict=True,
        ):
            of_query = []
            for rank, (answer, score, probability, known) in enumerate(zip(*values, strict=True), start=1):
                if answer < 0:
                    break
                triple_ids[COLUMN[part]] = answer
                h, r, t = triple_ids
                split = SPLITS[known - 1] if known else None
                triple = entities[h], relations[r], entities[t], names[h], names[t]
                of_query.append(Prediction(*triple, part, rank, score, probability, split))
            rows.append(of_query)
        return rows

    @property
    def _names(self) -> Sequence[str | None]:
        return self.kg.entity_names or [None] * self.kg.num_entities


def _pairs(first: Entity | Sequence[Entity], second: Entity | Sequence[Entity]) -> list[tuple[Entity, Entity]]:
    """Pairs of two sequences of one length; one value serves all of the other sequence."""
    single = str | int
    if isinstance(first, single) and isinstance(second, single):
        return [(first, second)]
    if isinstance(first, single):
        return [(first, other) for other in second]  # type: ignore[union-attr]
    if isinstance(second, single):
        return [(other, second) for other in first]
    if len(first) != len(second):
        raise InputError(f"{len(first)} and {len(second)} were given; give as many, or one for all")
    return list(zip(first, second, strict=True))


def _id(value: Entity, look_up: Callable[[str], int], count: int) -> int:
    if isinstance(value, str):
        return look_up(value)
    if not 0 <= value < count:
        raise InputError(f"the id {value} is outside 0..{count - 1}")
    return int(value)
