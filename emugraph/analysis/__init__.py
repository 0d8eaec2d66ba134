"""What negatives look like: the figures of the EMU paper, data and pictures apart.

:mod:`~emugraph.analysis.similarity` is its Figure 4, :mod:`~emugraph.analysis.pca` its Figure 5 and
:mod:`~emugraph.analysis.bars` its Figure 3; :mod:`~emugraph.analysis.plots` draws them.
"""

from emugraph.analysis.bars import Bars, read_bars
from emugraph.analysis.pca import Clouds, negative_clouds
from emugraph.analysis.similarity import Similarities, negative_similarities

__all__ = ["Bars", "Clouds", "Similarities", "negative_clouds", "negative_similarities", "read_bars"]
