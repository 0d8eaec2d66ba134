"""The paper's tables, measured anew: cells (one training run each), experiments (tables of cells), results on disk,
running what is open, and the report."""
