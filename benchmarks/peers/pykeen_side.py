"""PyKEEN's side of the comparison: takes orders as JSON lines on standard input, answers on standard output.

Run by :mod:`benchmarks.peers` with the interpreter of PyKEEN's own virtual environment, which has no emugraph; so it
imports nothing of it. PyKEEN is used by its public interface, as its documentation shows it, with its own defaults for
what is not said here (the loss of each model, the sampler).
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from typing import Any
from unittest import mock

import numpy as np
import pykeen
import torch
from pykeen.evaluation import RankBasedEvaluator
from pykeen.models import ComplEx, DistMult, ERModel, TransE
from pykeen.nn import modules
from pykeen.nn.init import PretrainedInitializer
from pykeen.nn.modules import RotatEInteraction
from pykeen.training import SLCWATrainingLoop
from pykeen.training.callbacks import TrainingCallback
from pykeen.triples import CoreTriplesFactory

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


class Clock(TrainingCallback):
    """Notes when each batch is done."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def post_batch(self, epoch: int, batch: Any, **kwargs: Any) -> None:
        self.times.append(time.perf_counter())


class SumOfModuli(RotatEInteraction):
    """RotatE with the norm of its authors; that of PyKEEN 1.11.1 is the root of squares, whatever p it is given."""

    def forward(self, h: torch.Tensor, r: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with mock.patch.object(modules, "negative_norm", lambda x, p, power_norm: -x.norm(p=1, dim=-1)):
            return super().forward(h, r, t)


class Side:
    """One graph and one model at a time.

    Args:
        arrays: ``train``, ``valid`` and ``test`` (n, 3), and the number of ``entities`` and ``relations``.
        threads: PyTorch's.
    """

    def __init__(self, arrays: str, threads: int) -> None:
        torch.set_num_threads(threads)
        graph = np.load(arrays)
        self.splits = {split: torch.from_numpy(graph[split]) for split in ("train", "valid", "test")}
        self.counts = int(graph["entities"]), int(graph["relations"])

    def factory(self, triples: torch.Tensor) -> CoreTriplesFactory:
        """Triples as PyKEEN takes them."""
        return CoreTriplesFactory.create(triples, num_entities=self.counts[0], num_relations=self.counts[1])

    def model(self, name: str, weights: str) -> None:
        """Build a model with given embeddings: TransE and DistMult (N, d); ComplEx and RotatE (N, 2d), real parts
        first; RotatE's relations as phases (R, d)."""
        tables = np.load(weights)
        entities, relations = (torch.from_numpy(tables[part]) for part in ("entities", "relations"))
        common: dict[str, Any] = {"triples_factory": self.factory(self.splits["train"][:1]), "random_seed": 0}
        if name in ("complex", "rotate"):
            entities = torch.complex(*entities.chunk(2, dim=1))
        if name == "complex":
            relations = torch.complex(*relations.chunk(2, dim=1))
        if name == "rotate":
            relations = torch.polar(torch.ones_like(relations), relations)
        dim = entities.shape[1]
        if entities.is_complex():
            entities = torch.view_as_real(entities)  # (N, d, 2)
        if relations.is_complex():
            relations = torch.view_as_real(relations)
        given = {
            "entity_initializer": PretrainedInitializer(entities),
            "relation_initializer": PretrainedInitializer(relations),
        }
        if name == "transe":
            self.current = TransE(embedding_dim=dim, scoring_fct_norm=1, entity_constrainer=None, **given, **common)
        elif name == "distmult":
            self.current = DistMult(embedding_dim=dim, entity_constrainer=None, **given, **common)
        elif name == "complex":
            self.current = ComplEx(embedding_dim=dim, **given, **common)
        else:
            kinds = {"shape": dim, "dtype": torch.cfloat}
            self.current = ERModel(
                interaction=SumOfModuli,
                entity_representations_kwargs={**kinds, "initializer": given["entity_initializer"]},
                relation_representations_kwargs={**kinds, "initializer": given["relation_initializer"]},
                **common,
            )

    def train(self, steps: int, batch_size: int, negatives: int) -> list[float]:
        """Seconds of some training steps, from the end of one to the end of the next."""
        clock = Clock()
        factory = self.factory(self.splits["train"][: (steps + 1) * batch_size])
        loop = SLCWATrainingLoop(
            model=self.current,
            triples_factory=factory,
            optimizer=torch.optim.Adam(self.current.parameters(), lr=0.001),
            negative_sampler_kwargs={"num_negs_per_pos": negatives},
        )
        loop.train(factory, num_epochs=1, batch_size=batch_size, use_tqdm=False, callbacks=clock)
        return np.diff(clock.times).tolist()

    def evaluate(self, triples: int) -> dict[str, float]:
        """Seconds and MRR of the filtered ranking of the first test triples, both sides."""
        evaluator = RankBasedEvaluator(filtered=True)
        started = time.perf_counter()
        metrics = evaluator.evaluate(
            self.current,
            self.splits["test"][:triples],
            additional_filter_triples=[self.splits["train"], self.splits["valid"], self.splits["test"]],
            use_tqdm=False,
        )
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "mrr": float(metrics.get_metric("both.realistic.inverse_harmonic_mean_rank"))}

    def versions(self) -> dict[str, str]:
        """What is measured."""
        return {"pykeen": pykeen.get_version(), "torch": torch.__version__}


def main() -> None:
    """Answer orders ``{"call": METHOD, ...}`` until there are no more."""
    side = Side(sys.argv[1], int(sys.argv[2]))
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(side, order.pop("call"))(**order)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
