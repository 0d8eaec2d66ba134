"""Settings that suit a graph, found by trying."""

from emugraph._renamed import names_of
from emugraph.tuning.search import tune

__all__ = ["tune"]

__getattr__ = names_of(__name__)
