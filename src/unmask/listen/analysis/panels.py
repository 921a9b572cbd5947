"""Results as what figures draw."""

from unmask.listen.analysis.pairs import PairResult
from unmask.listen.analysis.run import Analysis
from unmask.plots import Interval, Panel


def panels(analysis: Analysis) -> dict[str, Panel]:
    """Return a panel for each question: preferences, strengths, ratings."""
    found: dict[str, Panel] = {}
    for question in dict.fromkeys(row.question for row in analysis.pairs):
        rows = [_preference(row) for row in analysis.pairs if row.question == question]
        label = "preferred (%), with 95 % interval"
        found[_title(question, "preferences")] = Panel(label, rows, 50, (0, 100))
    for question in dict.fromkeys(row.question for row in analysis.strengths if row.strength):
        rows = [
            Interval(_label(row.group, s.system), s.strength, s.low, s.high)
            for row in analysis.strengths
            if row.question == question and (s := row.strength)
        ]
        label = "Bradley-Terry strength (log odds), with 95 % interval"
        found[_title(question, "strengths")] = Panel(label, rows, 0)
    for question in dict.fromkeys(row.question for row in analysis.ratings):
        rows = [
            Interval(_label(row.group, row.system), row.mean, row.low, row.high)
            for row in analysis.ratings
            if row.question == question
        ]
        label = "mean rating, with 95 % interval"
        found[_title(question, "ratings")] = Panel(label, rows, limits=(0, 100))
    return found


def _title(question: str, what: str) -> str:
    return f"{question}: {what}" if question else what


def _label(group: str, text: str) -> str:
    return f"{group}: {text}" if group else text


def _preference(row: PairResult) -> Interval:
    test, spread = row.binomial, row.clusters
    low, high = (spread.low, spread.high) if spread else (test.low, test.high)
    label = _label(row.group, f"{row.system} over {row.over} ({test.n})")
    return Interval(label, 100 * test.share, 100 * low, 100 * high, row.is_decided)
