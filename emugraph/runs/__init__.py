"""Runs: a training run from its first step to its folder, with callbacks, trackers and profiles."""

from emugraph._renamed import names_of

__getattr__ = names_of(__name__)
