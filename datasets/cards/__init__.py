"""Cards of the data sets that emugraph ships: one TOML file each, as :mod:`emugraph.datasets.card` describes."""
