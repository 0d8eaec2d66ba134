"""Runs: a training run from its first step to its folder, with callbacks, trackers and profiles."""
