"""A report on runs: one HTML file that needs nothing else, for people to look at."""

from emugraph.report.contents import collect
from emugraph.report.page import write_report

__all__ = ["collect", "write_report"]
