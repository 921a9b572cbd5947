"""Whole evaluations: pair files, score all tracks, keep the scores, aggregate, compare.

::

    pairs = pair("separated/mine", "musdb18hq/test")
    table = read_systems(["published/TAK2", "published/UHL2.zip"])
    for result in evaluate(pairs.tracks, out="scores/mine", executor=Processes(8)):
        table |= result.table
    aggregate(table), compare(table, "mine", "TAK2")
"""

from unmask.evaluate.comparison import Comparison, compare
from unmask.evaluate.document import read_results, read_systems
from unmask.evaluate.pairing import Files, Pairing, Pairs, Track, pair
from unmask.evaluate.run import Result, evaluate
from unmask.evaluate.scoring import METRICS, Metric, Settings, default_metrics
from unmask.evaluate.table import (
    AGGREGATIONS,
    Aggregate,
    Key,
    Series,
    Table,
    aggregate,
    interval,
    panels,
    per_track,
    rows,
    rows_file,
    select,
    stems_of,
    write_rows,
)

__all__ = [
    "AGGREGATIONS",
    "METRICS",
    "Aggregate",
    "Comparison",
    "Files",
    "Key",
    "Metric",
    "Pairing",
    "Pairs",
    "Result",
    "Series",
    "Settings",
    "Table",
    "Track",
    "aggregate",
    "compare",
    "default_metrics",
    "evaluate",
    "interval",
    "pair",
    "panels",
    "per_track",
    "read_results",
    "read_systems",
    "rows",
    "rows_file",
    "select",
    "stems_of",
    "write_rows",
]


def __dir__() -> list[str]:
    return __all__
