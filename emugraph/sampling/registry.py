"""Samplers by name: "khop", or mixtures such as "0.5*khop + 0.5*uniform"."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from emugraph.errors import InputError, nearest
from emugraph.sampling.base import NegativeSampler
from emugraph.sampling.bernoulli import Bernoulli
from emugraph.sampling.in_batch import InBatch
from emugraph.sampling.khop import KHop
from emugraph.sampling.mixture import Mixture
from emugraph.sampling.nscaching import NSCaching
from emugraph.sampling.uniform import Uniform
from emugraph.sampling.walk import RandomWalk

SAMPLERS: dict[str, type[NegativeSampler]] = {
    sampler.name: sampler for sampler in (Uniform, Bernoulli, KHop, RandomWalk, NSCaching, InBatch)
}
"""All samplers that settings and the command line know, by name."""

_PART = re.compile(r"\s*(?:(?P<share>(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*\*)?\s*(?P<name>[a-z][a-z-]*)\s*", re.IGNORECASE)


def parse(expression: str) -> list[tuple[float, str]]:
    """The shares and names in an expression; a share is 1 where none is given.

    Raises:
        InputError: it is no such expression, or names a sampler that does not exist.
    """
    parts = []
    for text in expression.split("+"):
        match = _PART.fullmatch(text)
        if match is None:
            raise InputError(f"{expression!r} names no samplers; give one, or a mixture such as 0.5*khop+0.5*uniform")
        name, share = match["name"].lower(), float(match["share"] or 1)
        if name not in SAMPLERS:
            raise InputError(f"unknown sampler {name!r}; known: {', '.join(SAMPLERS)}.{nearest(name, SAMPLERS)}")
        if not 0 < share < math.inf:
            raise InputError(f"the share of the sampler {name!r} is {share:g}; it must be above 0")
        parts.append((share, name))
    if len(parts) > 1 and "*" in expression and expression.count("*") != len(parts):
        raise InputError(f"{expression!r} gives some of its samplers a share; give one to each, or to none")
    return parts


def canonical(expression: str) -> str:
    """The one way to write an expression: "khop", or "0.5*khop+0.5*uniform"."""
    parts = parse(expression)
    return parts[0][1] if len(parts) == 1 else "+".join(f"{share:.9g}*{name}" for share, name in parts)


def shares_by_default(expression: str) -> bool:
    """Whether one set of negatives serves a batch, unless something else is asked for."""
    return all(SAMPLERS[name].can_share for _, name in parse(expression))


def build(expression: str, k: int, make: Callable[[type[NegativeSampler], int], NegativeSampler]) -> NegativeSampler:
    """The sampler of an expression.

    Args:
        expression: a name, or shares and names.
        k: negatives for each positive, K.
        make: makes a sampler of a class with a number of negatives.
    """
    parts = [(share, SAMPLERS[name]) for share, name in parse(expression)]
    if len(parts) == 1:
        return make(parts[0][1], k)
    return Mixture([(share, make(sampler, k)) for share, sampler in parts], k)
