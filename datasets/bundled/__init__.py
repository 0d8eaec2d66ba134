"""Data sets that come with emugraph: files that ``tools/build_wn18rr.py`` makes, with WordNet's licence."""
