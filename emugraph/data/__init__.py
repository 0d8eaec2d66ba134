"""Knowledge graphs: triples, labels and their ids, read from files and other libraries, split, described, indexed."""
