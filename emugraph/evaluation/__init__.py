"""How good a model is: filtered ranking, its parts, two models compared, and triple classification."""

from emugraph._renamed import names_of
from emugraph.evaluation.breakdown import Rankings, interval
from emugraph.evaluation.classification import choose_thresholds, classify
from emugraph.evaluation.comparison import compare
from emugraph.evaluation.ranking import Evaluator, Ranks, evaluate, summarize

__all__ = [
    "Evaluator",
    "Rankings",
    "Ranks",
    "choose_thresholds",
    "classify",
    "compare",
    "evaluate",
    "interval",
    "summarize",
]

__getattr__ = names_of(__name__)
