"""What emugraph does, written plainly in PyTorch: what a user would write first, for benchmarks to compare with."""

from __future__ import annotations

import time
from collections import defaultdict

import torch
from torch import Tensor
from torch.nn import functional

from emugraph import KnowledgeGraph
from emugraph.models import Model, model_class
from emugraph.models.kernel_model import KernelModel
from emugraph.types import SIDES, Side

Answers = dict[tuple[int, int], list[int]]


class PlainTrainer:
    """Steps without EMU: negatives of each positive's own, gathered, scores as their formula says, autograd, Adam.

    Args:
        kg: the graph.
        name: the model's name.
        dim: its dimension.
        batch_size: positives in a step.
        negatives: for each positive.
    """

    def __init__(self, kg: KnowledgeGraph, name: str, dim: int, batch_size: int, negatives: int) -> None:
        self.triples = kg.train
        self.model = model_class(name)(kg.num_entities, kg.num_relations, dim)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001)
        self.batch_size = batch_size
        self.negatives = negatives

    def step(self) -> None:
        """One update, of a batch with the tail corrupted."""
        model, size = self.model, self.batch_size
        heads, relations, tails = self.triples[torch.randint(len(self.triples), (size,))].unbind(dim=1)
        negatives = torch.randint(len(model.entities), (size, self.negatives))
        candidates = torch.cat([tails[:, None], negatives], dim=1)  # (B, 1 + K)
        query = model.embed_queries(heads, relations, "tail")
        scores = Model.score_each(model, query, model.entities[candidates])
        loss = functional.cross_entropy(scores, torch.zeros(size, dtype=torch.int64))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


@torch.no_grad()
def plain_mrr(model: KernelModel, triples: Tensor, known: dict[Side, Answers], block: int = 16) -> float:
    """The filtered MRR of both sides: all entities are scored for each query, known answers are struck out.

    Args:
        model: the score function.
        triples: what is ranked.
        known: :func:`known_answers`.
        block: queries at one time.
    """
    total = 0.0
    for side in SIDES:
        known_column, target_column = (0, 2) if side == "tail" else (2, 0)
        for some in triples.split(block):
            query = model.embed_queries(some[:, known_column], some[:, 1], side)
            product = model.kind == "dot"
            scores = query @ model.entities.T if product else Model.score(model, query, model.entities)  # (block, N)
            answers = some[:, target_column]
            true = scores.gather(1, answers[:, None])
            for row, (entity, relation) in enumerate(
                zip(some[:, known_column].tolist(), some[:, 1].tolist(), strict=True)
            ):
                scores[row, known[side][entity, relation]] = -torch.inf
            scores.scatter_(1, answers[:, None], true)
            best, worst = 1 + (scores > true).sum(dim=1), (scores >= true).sum(dim=1)
            total += (2 / (best + worst)).double().sum().item()
    return total / (2 * len(triples))


def known_answers(kg: KnowledgeGraph) -> dict[Side, Answers]:
    """By side, the known answers of each query, an entity and a relation."""
    known: dict[Side, Answers] = {side: defaultdict(list) for side in SIDES}
    for split in ("train", "valid", "test"):
        for head, relation, tail in kg.triples(split).tolist():
            known["tail"][head, relation].append(tail)
            known["head"][tail, relation].append(head)
    return known


def plain_seconds(model: KernelModel, kg: KnowledgeGraph, triples: Tensor, sample: int) -> float:
    """Seconds that the twin takes to index the known answers and to rank triples, reckoned from a few of them."""
    started = time.perf_counter()
    known = known_answers(kg)
    indexed = time.perf_counter()
    plain_mrr(model, triples[:sample], known)
    return indexed - started + (time.perf_counter() - indexed) * len(triples) / len(triples[:sample])
