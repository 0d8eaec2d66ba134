"""Embeddings with their labels: out of a model, to and from files, into other models and DGL graphs."""

from emugraph._renamed import names_of
from emugraph.embeddings.files import read_embeddings, write_embeddings
from emugraph.embeddings.table import Table, attach, start_from, tables_of

__all__ = ["Table", "attach", "read_embeddings", "start_from", "tables_of", "write_embeddings"]

__getattr__ = names_of(__name__)
