"""Answers from CSV: ours (docs/listening.md) and webMUSHRA's."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from unmask.errors import FileError, listed
from unmask.listen.analysis.judgements import Choice, Judgements, Rating
from unmask.listen.analysis.lines import Line, lines
from unmask.listen.columns import ANSWERS, CONDITIONS

_PAIRS = ("listener", "item", "system_a", "system_b")
_RATINGS = ("listener", "item", "system", "rating")
_WEB_RATINGS = ("trial_id", "rating_stimulus", "rating_score")
_WEB_PAIRS = ("trial_id", "choice_reference", "choice_non_reference", "choice_answer")
#: Columns of webMUSHRA that say nothing about who answered.
_WEB_OWN = {
    *("session_test_id", "trial_id", "rating_stimulus", "rating_score", "rating_time"),
    *("rating_comment", "choice_reference", "choice_non_reference", "choice_answer"),
    *("choice_time", "choice_comment"),
}
#: Names that webMUSHRA gives its hidden reference and anchors.
_WEB_CONDITIONS = {"reference": "reference", "anchor35": "anchor", "anchor70": "anchor"}
#: What it writes as an answer -> which of the two is preferred; the first is its reference.
_WEB_ANSWERS = {"correct": "a", "incorrect": "b", "undecided": "none"}


def read(paths: Sequence[str | Path]) -> Judgements:
    """Read the answers of one or several tests; listeners of different tests are different.

    The header says what a file is: ``judgements.csv`` of ``unmask listen export`` (of one written
    by hand, the columns listener, item, system_a, system_b and answer, or listener, item, system
    and rating are enough), ``mushra.csv`` or ``paired_comparison.csv`` of webMUSHRA.

    Raises
    ------
    FileError
        If a file cannot be read or a row is wrong, which is named.
    """
    choices: list[Choice] = []
    ratings: list[Rating] = []
    found = [line for path in paths for line in lines(Path(path))]
    several = len({_test(line) for line in found}) > 1
    for line in found:
        row = _reader(line)(line, f"{_test(line)}/" if several else "")
        if isinstance(row, Choice):
            choices.append(row)
        elif row is not None:
            ratings.append(row)
    _check_once(found, several=several)
    if not choices and not ratings:
        raise FileError(f"{listed(map(str, paths))}: no answer in it, expected one or more rows")
    return Judgements(tuple(choices), tuple(ratings))


def _test(line: Line) -> str:
    return line.cells.get("test") or line.cells.get("session_test_id") or line.path.stem


def _reader(line: Line) -> Callable[[Line, str], Choice | Rating | None]:
    """Return what reads a row, which the columns of the file tell."""
    has = set(line.cells)
    if has.issuperset(_WEB_RATINGS):
        return _web_rating
    if has.issuperset(_WEB_PAIRS):
        return _web_choice
    is_rated = has.issuperset(_RATINGS) and (line.cells["rating"] or not has.issuperset(_PAIRS))
    if is_rated:
        return _rating
    if has.issuperset(_PAIRS) and has & {"answer", "preferred"}:
        return _choice
    raise FileError(
        f"{line.path}: columns {listed(has, 6)}; expected those of judgements.csv "
        f"({', '.join(_PAIRS)}, answer; or {', '.join(_RATINGS)}) or of webMUSHRA"
    )


def _shared(line: Line, test: str) -> dict[str, str | bool]:
    return {
        "listener": test + line.text("listener"),
        "item": test + line.text("item"),
        "question": line.cells.get("question", ""),
        "track": line.cells.get("track", ""),
        "stem": line.cells.get("stem", ""),
        "repeat": line.one_of("repeat", ("", "0", "1")) == "1" if "repeat" in line.cells else False,
    }


def _choice(line: Line, test: str) -> Choice:
    a, b = line.text("system_a"), line.text("system_b")
    if a == b:
        raise line.error(f"system_a and system_b are both {a!r}, should differ; leave the row out")
    named = line.cells.get("preferred", "")
    if "answer" in line.cells:
        preferred = {"a": a, "b": b, "none": ""}[line.one_of("answer", ANSWERS)]
        if "preferred" in line.cells and named != preferred:
            raise line.error(f"preferred is {named!r}, but answer says {preferred!r}; correct one")
    else:
        preferred = line.one_of("preferred", (a, b, ""))
    return Choice(a=a, b=b, preferred=preferred, **_shared(line, test))  # type: ignore[arg-type]


def _rating(line: Line, test: str) -> Rating:
    condition = line.one_of("condition", ("", *CONDITIONS)) if "condition" in line.cells else ""
    return Rating(
        system=line.text("system"),
        condition=condition or "system",
        rating=_number(line, "rating"),
        **_shared(line, test),  # type: ignore[arg-type]
    )


def _number(line: Line, column: str) -> float:
    try:
        value = float(line.cells[column])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise line.error(
            f"{column} is {line.cells[column]!r}, should be a number from 0 to 100; correct it"
        )
    return value


def _web_listener(line: Line) -> str:
    """Return the session, or what participants of older versions said of themselves."""
    found = line.cells.get("session_uuid") or " ".join(
        value for name, value in line.cells.items() if name not in _WEB_OWN and value
    )
    if not found:
        raise line.error(
            "nothing says who answered, expected session_uuid or a column of the participant; add "
            "one"
        )
    return found


def _web_rating(line: Line, test: str) -> Rating:
    system = line.text("rating_stimulus")
    return Rating(
        listener=test + _web_listener(line),
        item=test + line.text("trial_id"),
        question="quality",
        system=system,
        condition=_WEB_CONDITIONS.get(system, "system"),
        rating=_number(line, "rating_score"),
    )


def _web_choice(line: Line, test: str) -> Choice | None:
    a, b = line.text("choice_reference"), line.text("choice_non_reference")
    answer = line.one_of("choice_answer", (*_WEB_ANSWERS, "unknown"))
    if answer == "unknown":  # the page was left without an answer
        return None
    return Choice(
        listener=test + _web_listener(line),
        item=test + line.text("trial_id"),
        question="preference",
        a=a,
        b=b,
        preferred={"a": a, "b": b, "none": ""}[_WEB_ANSWERS[answer]],
    )


def _check_once(found: Iterable[Line], *, several: bool) -> None:
    """Refuse what is there twice: the same file given twice, or a page that was sent again."""
    seen: dict[tuple[str, ...], Line] = {}
    for line in found:
        cells = line.cells
        who = _web_listener(line) if "trial_id" in cells else cells["listener"]
        item = cells.get("item") or cells.get("trial_id", "")
        names = ("question", "repeat", "system", "rating_stimulus")
        pair = {cells.get(name, "") for name in ("system_a", "system_b")}
        webs = {cells.get(name, "") for name in ("choice_reference", "choice_non_reference")}
        test = _test(line) if several else ""
        what = (test, who, item, *(cells.get(name, "") for name in names))
        key = (*what, *sorted(pair), *sorted(webs))
        if key in seen:
            first = seen[key]
            raise line.error(
                f"listener {who} answers about {item} again (before: {first.path}, line "
                f"{first.number}), expected once; leave one out, or mark it with 1 in repeat"
            )
        seen[key] = line
