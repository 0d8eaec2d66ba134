"""The version, alone in a file so that building and ``--version`` need not import the package's dependencies."""

__version__ = "0.1.0"
