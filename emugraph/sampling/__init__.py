"""Positive batches and negative samplers, one a file.

Each sampler is made for a graph and draws for a batch of its triples::

    >>> import torch
    >>> from emugraph import KnowledgeGraph
    >>> from emugraph.sampling import Uniform
    >>> kg = KnowledgeGraph.from_triples([("a", "r", "b"), ("b", "r", "c"), ("c", "s", "d")])
    >>> sampler = Uniform(kg, k=5, filtered=True)
    >>> sampler.sample(kg.train, "tail", torch.Generator().manual_seed(0)).shape
    torch.Size([3, 5])

and is a negative sampler of ``dgl.dataloading`` as it is (:class:`~emugraph.sampling.base.NegativeSampler`).
"""

from emugraph._renamed import names_of
from emugraph.sampling.base import NegativeSampler
from emugraph.sampling.batches import AlternatingSides, Batches, SidedBatches, SidesByRelation
from emugraph.sampling.bernoulli import Bernoulli
from emugraph.sampling.in_batch import InBatch
from emugraph.sampling.khop import KHop
from emugraph.sampling.mixture import Mixture
from emugraph.sampling.nscaching import NSCaching
from emugraph.sampling.one_vs_all import OneVsAll
from emugraph.sampling.registry import SAMPLERS
from emugraph.sampling.uniform import Uniform
from emugraph.sampling.walk import RandomWalk

__all__ = [
    "SAMPLERS",
    "AlternatingSides",
    "Batches",
    "Bernoulli",
    "InBatch",
    "KHop",
    "Mixture",
    "NSCaching",
    "NegativeSampler",
    "OneVsAll",
    "RandomWalk",
    "SidedBatches",
    "SidesByRelation",
    "Uniform",
]

__getattr__ = names_of(__name__)
