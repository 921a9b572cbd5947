"""What listeners said, as rows: ``judgements.csv`` and ``listeners.csv`` of docs/listening.md."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unmask.listen.assignment import letters
from unmask.listen.columns import JUDGEMENTS, LISTENERS
from unmask.listen.design import Secret, Test
from unmask.listen.store import Answer, Session, Sheet, Store

Row = Mapping[str, Any]


def judgements(test: Test, secret: Secret, store: Store) -> Iterator[Row]:
    """Yield one row an answer, listeners in the order in which they came."""
    for session in store.sessions():
        sheets = {sheet.position: sheet for sheet in store.sheets(session.id)}
        for answer in store.answers(session.id):
            yield from _rows(test, secret, session, sheets[answer.position], answer)


def _rows(
    test: Test, secret: Secret, session: Session, sheet: Sheet, answer: Answer
) -> Iterator[Row]:
    item = test.item(test.page(sheet.page).item)
    page = {
        **_who(test, session),
        "kind": test.kind,
        "position": sheet.position,
        "page": sheet.page,
        "repeat": sheet.repeat,
        "item": item.id,
        "track": item.track,
        "stem": item.stem,
        "rt_s": round(answer.rt_s, 3),
        "submitted_at": answer.submitted_at,
    }
    clips = [secret.clips[name] for name in sheet.shown]
    for question, given in answer.given.items():
        if test.kind == "mushra":
            for label, clip, rating in zip(letters(len(clips)), clips, given, strict=True):
                rated = {"system": clip.system, "condition": clip.condition, "label": label}
                yield page | {"question": question, "rating": rating} | rated
        else:
            sides = dict(zip("ab", (clip.system for clip in clips), strict=True))
            pair = {"system_a": sides["a"], "system_b": sides["b"]}
            preferred = sides.get(given, "")
            yield page | pair | {"question": question, "answer": given, "preferred": preferred}


def _who(test: Test, session: Session) -> dict[str, Any]:
    return {"test": test.id, "listener": f"L{session.number:03d}", "session": session.id}


def listeners(test: Test, store: Store) -> Iterator[Row]:
    """Yield one row a listener."""
    for session in store.sessions():
        found = {name: session.notes.get(name, "") for name in LISTENERS}
        yield (
            found
            | _who(test, session)
            | {
                "started_at": session.started_at,
                "finished_at": session.finished_at or "",
                "n_pages": len(store.sheets(session.id)),
                "n_answered": len(store.answered(session.id)),
            }
        )


def as_csv(rows: Iterator[Row], columns: Sequence[str]) -> str:
    """Return rows as CSV with these columns; what a row lacks is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def judgements_csv(test: Test, secret: Secret, store: Store) -> str:
    """Return ``judgements.csv``."""
    return as_csv(judgements(test, secret, store), JUDGEMENTS)


def listeners_csv(test: Test, store: Store) -> str:
    """Return ``listeners.csv``."""
    return as_csv(listeners(test, store), LISTENERS)
