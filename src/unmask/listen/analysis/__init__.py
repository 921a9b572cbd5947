"""What a listening test shows: docs/listening.md says by which method, and when.

>>> from unmask.listen import analysis
>>> found = analysis.preference(61, 105)
>>> print(f"{found.p:.2f}")
0.12
"""

from unmask.listen.analysis.agreement import cohens_kappa, krippendorff
from unmask.listen.analysis.clusters import Clustered, clustered
from unmask.listen.analysis.judgements import Choice, Judgements, Rating
from unmask.listen.analysis.mixed import Mixed, mixed
from unmask.listen.analysis.pairs import PairResult, pair_results
from unmask.listen.analysis.preference import Preference, detectable, needed, preference
from unmask.listen.analysis.ratings import Difference, Rated, rated
from unmask.listen.analysis.reading import read
from unmask.listen.analysis.reliability import Reliability, reliability
from unmask.listen.analysis.run import Analysis, Settings, StrengthRow, analyse
from unmask.listen.analysis.screening import Excluded, screened
from unmask.listen.analysis.strengths import Strength, Strengths, strengths
from unmask.listen.analysis.tables import Table, csv_text, markdown, tables
from unmask.listen.analysis.verdicts import sentences

__all__ = [
    "Analysis",
    "Choice",
    "Clustered",
    "Difference",
    "Excluded",
    "Judgements",
    "Mixed",
    "PairResult",
    "Preference",
    "Rated",
    "Rating",
    "Reliability",
    "Settings",
    "Strength",
    "StrengthRow",
    "Strengths",
    "Table",
    "analyse",
    "clustered",
    "cohens_kappa",
    "csv_text",
    "detectable",
    "krippendorff",
    "markdown",
    "mixed",
    "needed",
    "pair_results",
    "preference",
    "rated",
    "read",
    "reliability",
    "screened",
    "sentences",
    "strengths",
    "tables",
]


def __dir__() -> list[str]:
    return __all__
