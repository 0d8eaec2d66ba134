"""Uniform negatives, with the side that is corrupted chosen by the relation."""

from __future__ import annotations

from emugraph.sampling.uniform import Uniform


class Bernoulli(Uniform):
    """Uniform negatives for the head with the probability of :func:`~emugraph.sampling.base.head_probability`,
    otherwise for the tail.

    Arguments as for :class:`NegativeSampler`. Wang et al., "Knowledge Graph Embedding by Translating on Hyperplanes",
    AAAI 2014.
    """

    name = "bernoulli"
    chooses_side = True
