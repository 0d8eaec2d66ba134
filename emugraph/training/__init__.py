"""Training: settings and presets, the objective, and the trainer that makes a step."""

from emugraph._renamed import names_of

__getattr__ = names_of(__name__)
