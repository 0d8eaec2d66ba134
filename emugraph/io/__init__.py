"""Files and memory: written whole or not at all, known by their sums, read within bounds."""
