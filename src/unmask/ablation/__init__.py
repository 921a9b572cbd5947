"""The grid over the oracles: what a mask loses when it is bounded, thinned out and interpolated.

Montesinos (2021) keeps every second bin of ideal masks and asks what brings the others back best.
Here every choice is an axis (:class:`Grid`), every combination a :class:`Cell` with the scores of
each source (:class:`Score`), measured by :func:`ablate` and kept on disk, so that a second run
computes only what is new. :func:`statements` says which of the known results hold in a recording.
"""

from unmask.ablation.grid import Cell, Grid
from unmask.ablation.markdown import report
from unmask.ablation.material import Material, find_material
from unmask.ablation.run import ablate
from unmask.ablation.scoring import Score, measure
from unmask.ablation.tables import Results, to_csv
from unmask.ablation.verdicts import Statement, statements
from unmask.ablation.webpage import page

__all__ = [
    "Cell",
    "Grid",
    "Material",
    "Results",
    "Score",
    "Statement",
    "ablate",
    "find_material",
    "measure",
    "page",
    "report",
    "statements",
    "to_csv",
]
