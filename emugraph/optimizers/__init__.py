"""Optimizers of embedding tables, of which a step reads few rows."""

from emugraph.optimizers.adagrad import Adagrad, RowAdagrad
from emugraph.optimizers.base import TableOptimizer
from emugraph.optimizers.deferred_adam import DeferredAdam
from emugraph.optimizers.lazy_adam import LazyAdam

__all__ = ["Adagrad", "DeferredAdam", "LazyAdam", "RowAdagrad", "TableOptimizer"]
