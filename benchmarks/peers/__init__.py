"""emugraph and PyKEEN side by side, on the same graph, sizes and machine; see :mod:`benchmarks.peers.__main__`."""
