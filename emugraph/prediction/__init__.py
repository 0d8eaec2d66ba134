"""What a trained model says: answers to queries, new triples, similar entities, probabilities."""

from emugraph._renamed import names_of
from emugraph.prediction.calibration import Calibration
from emugraph.prediction.queries import NewTriple, Prediction, Similar
from emugraph.prediction.top_k import Answers, Predictor
from emugraph.prediction.trained_model import TrainedModel

__all__ = ["Answers", "Calibration", "NewTriple", "Prediction", "Predictor", "Similar", "TrainedModel"]

__getattr__ = names_of(__name__)
