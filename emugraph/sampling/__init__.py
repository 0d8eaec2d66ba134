"""Positive batches and negative samplers, one a file."""

from emugraph.sampling.base import NegativeSampler
from emugraph.sampling.batches import Batches
from emugraph.sampling.every import EveryEntity
from emugraph.sampling.uniform import Uniform

__all__ = ["Batches", "EveryEntity", "NegativeSampler", "Uniform"]
