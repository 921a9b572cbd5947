"""What a listener may do, step by step; knows nothing of HTTP."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from unmask.listen.assignment import TRAINING, clip_names, derived, letters, sheets, training
from unmask.listen.design import AUDIO, SUFFIX, Secret, Test
from unmask.listen.store import Session, Sheet, Store

#: Of six trials of the headphone check (Woods et al. 2017).
HEADPHONES_TRIALS, _HEADPHONES_PASS = 6, 5
_HEARING = ("normal", "impaired", "unsaid")
_MOST_TONES = 20
#: Clocks and networks are not exact: this share of the listening time is enough.
_LENIENCE = 0.9


class RefusedError(Exception):
    """What a listener asked for is not given; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Visits:
    """A test as listeners meet it."""

    folder: Path
    test: Test
    secret: Secret
    store: Store
    most_sessions: int = 1000

    def token(self, begin: str) -> str:
        """Return the secret of the listener whose browser made up `begin`."""
        return derived(self.secret.key, "token", begin)

    def begin(self, begin: str) -> Session:
        """Begin a session, or return the one that this browser has begun.

        Parameters
        ----------
        begin : str
            32 or more characters that the browser made up: asked twice, it gets one session.
        """
        if not 32 <= len(begin) <= 64 or not _is_plain(begin):
            raise RefusedError(400, "begin: expected 32 to 64 letters and digits")
        digest = _digest(self.token(begin))
        if known := self.store.session(digest):
            return known
        if self.store.n_sessions() >= self.most_sessions:
            raise RefusedError(503, "this test has as many listeners as it takes; thank you")
        name = derived(self.secret.key, "session", begin)
        made = self.store.begin(name, digest, lambda n, given: sheets(self.test, n, given), {})
        found = made or self.store.session(digest)
        assert found is not None
        return found

    def known(self, token: str | None) -> Session | None:
        """Return the session of a token."""
        return self.store.session(_digest(token)) if token else None

    def note(self, session: Session, said: Mapping[str, Any]) -> Session:
        """Store what one of the steps before the pages found; the first result stays."""
        checks = {"volume": _volume, "headphones": _headphones, "hearing": _hearing}
        step = said.get("step")
        if step == "training":
            return self.store.note(session, {"trained": True})
        if not isinstance(step, str) or step not in checks:
            raise RefusedError(400, "step: expected volume, headphones, hearing or training")
        return self.store.note(session, checks[step](said))

    def stage(self, session: Session | None) -> str:
        """Return what comes next for a listener."""
        if session is None:
            return "consent"
        notes, needs = session.notes, self.test.headphones
        if "volume" not in notes:
            return "volume"
        if needs != "off" and "headphones" not in notes:
            return "headphones"
        if needs == "require" and notes["headphones"] != "passed":
            return "refused"
        if "hearing" not in notes:
            return "hearing"
        if "trained" not in notes:
            return "training"
        return "page" if session.finished_at is None else "done"

    def state(self, session: Session | None) -> dict[str, Any]:
        """Return what the browser needs to know to go on."""
        stage = self.stage(session)
        state = {
            "test": self.test.id,
            "kind": self.test.kind,
            "texts": dict(self.test.texts),
            "loudness_lufs": self.test.loudness_lufs,
            "steps": [
                "volume",
                *(["headphones"] if self.test.headphones != "off" else []),
                "hearing",
                "training",
            ],
            "n_pages": self.test.pages_per_listener + self.test.repeats,
            "stage": stage,
        }
        if session is not None and stage in {"page", "done"}:
            answered = self.store.answered(session.id)
            state["n_answered"] = len(answered)
            if stage == "page":
                state["position"] = self.current(session).position
        return state

    def current(self, session: Session) -> Sheet:
        """Return the first page without an answer."""
        answered = self.store.answered(session.id)
        for sheet in self.store.sheets(session.id):
            if sheet.position not in answered:
                return sheet
        raise RefusedError(409, "all pages are answered")

    def sheet(self, session: Session, position: int) -> Sheet:
        """Return the page that may be open now."""
        stage = self.stage(session)
        trial = training(self.test)
        if position == TRAINING and trial is not None and stage not in _CLOSED:
            return trial
        if stage == "page":
            current = self.current(session)
            if current.position == position:
                return current
        raise RefusedError(409, f"page {position} is not the one to answer now")

    def page(self, session: Session, position: int) -> dict[str, Any]:
        """Return a page as the browser gets it."""
        sheet = self.sheet(session, position)
        item = self.test.item(self.test.page(sheet.page).item)
        labels = [*letters(len(sheet.shown)), *(name.title() for name in item.references)]
        if self.test.kind == "mushra":
            labels = ["Reference" if label == "Target" else label for label in labels]
        names = self._names(session, sheet)
        return {
            "position": sheet.position,
            "n_pages": self.test.pages_per_listener + self.test.repeats,
            "kind": self.test.kind,
            "stem": item.stem,
            "duration_s": item.duration_s,
            "min_heard_s": self._min_heard_s(sheet),
            "questions": [
                {"id": one.id, "text": one.text, "none": one.none} for one in self.test.questions
            ],
            "clips": [
                {"name": name, "label": label, "rated": k < len(sheet.shown)}
                for k, (name, label) in enumerate(zip(names, labels, strict=True))
            ],
        }

    def clip(self, session: Session, position: int, name: str) -> Path:
        """Return the file of a clip, and remember that it was sent."""
        sheet = self.sheet(session, position)
        names = self._names(session, sheet)
        if name not in names:
            raise RefusedError(404, "no such clip on this page")
        place = names.index(name)
        if position != TRAINING:
            self.store.fetched(session.id, position, place)
        return self.folder / AUDIO / f"{self._clips(sheet)[place]}{SUFFIX}"

    def answer(self, session: Session, position: int, said: Mapping[str, Any]) -> bool:
        """Store an answer; whether it was new."""
        key, rt_s = said.get("key"), said.get("rt_s", -1)
        if not isinstance(key, str) or not 16 <= len(key) <= 64 or not _is_plain(key):
            raise RefusedError(400, "key: expected 16 to 64 letters and digits")
        if not _is_number(rt_s, 0, 86400):
            raise RefusedError(400, "rt_s: expected seconds, 0 to 86400")
        mine = {sheet.position: sheet for sheet in self.store.sheets(session.id)}
        if position not in mine:
            raise RefusedError(404, f"page {position} is not one of yours")
        given = self._given(mine[position], said.get("answers"))
        if position not in self.store.answered(session.id):
            self._check_heard(self.sheet(session, position))
        stored = self.store.answer(session.id, position, key, given, float(rt_s))
        if stored == "other":
            raise RefusedError(409, f"page {position} is answered already; the first answer stays")
        return stored == "stored"

    def _given(self, sheet: Sheet, answers: Any) -> dict[str, Any]:
        if not isinstance(answers, dict) or set(answers) != {one.id for one in self.test.questions}:
            raise RefusedError(400, "answers: expected one to each question of the page")
        given: dict[str, Any] = {}
        for question in self.test.questions:
            value = answers[question.id]
            if self.test.kind == "mushra":
                given[question.id] = _ratings(value, len(sheet.shown))
            elif value in ("a", "b", *(["none"] if question.none else [])):
                given[question.id] = value
            else:
                raise RefusedError(400, f"answers: {question.id} has none of the answers offered")
        return given

    def _check_heard(self, sheet: Sheet) -> None:
        """Refuse answers to what cannot have been heard."""
        n_clips = len(self._clips(sheet))
        if sheet.fetched != (1 << n_clips) - 1 or sheet.opened_at is None:
            raise RefusedError(
                409, "clips of this page were not loaded; listen to all of them first"
            )
        needed = timedelta(seconds=_LENIENCE * n_clips * self._min_heard_s(sheet))
        if datetime.now(UTC) - datetime.fromisoformat(sheet.opened_at) < needed:
            raise RefusedError(
                409, "answered sooner than the clips can be heard; listen to all of them"
            )

    def _min_heard_s(self, sheet: Sheet) -> float:
        item = self.test.item(self.test.page(sheet.page).item)
        return min(self.test.min_heard_s, item.duration_s)

    def _clips(self, sheet: Sheet) -> list[str]:
        item = self.test.item(self.test.page(sheet.page).item)
        return [*sheet.shown, *item.references.values()]

    def _names(self, session: Session, sheet: Sheet) -> list[str]:
        n_clips = len(self._clips(sheet))
        return clip_names(self.secret.key, session.id, sheet.position, n_clips)


#: Stages in which no clip is given, not even that by which the volume is set.
_CLOSED = {"consent", "refused", "done"}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _is_number(value: Any, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return bool(low <= value <= high)  # NaN is not


def _ratings(value: Any, n: int) -> Sequence[int]:
    if not isinstance(value, list) or len(value) != n:
        raise RefusedError(400, f"answers: expected {n} ratings, one for each clip in its order")
    if not all(isinstance(one, int) and _is_number(one, 0, 100) for one in value):
        raise RefusedError(400, "answers: expected ratings that are whole numbers, 0 to 100")
    return value


def _volume(_said: Mapping[str, Any]) -> dict[str, Any]:
    return {"volume": True}


def _headphones(said: Mapping[str, Any]) -> dict[str, Any]:
    correct = said.get("correct")
    if not isinstance(correct, int) or not _is_number(correct, 0, HEADPHONES_TRIALS):
        raise RefusedError(400, f"correct: expected a whole number, 0 to {HEADPHONES_TRIALS}")
    passed = "passed" if correct >= _HEADPHONES_PASS else "failed"
    return {"headphones": passed, "headphones_correct": correct}


def _hearing(said: Mapping[str, Any]) -> dict[str, Any]:
    if said.get("hearing") not in _HEARING:
        raise RefusedError(400, f"hearing: expected one of {', '.join(_HEARING)}")
    notes: dict[str, Any] = {"hearing": said["hearing"]}
    for name in ("tones_played", "tones_heard"):
        value = said.get(name)
        if not isinstance(value, int) or not _is_number(value, 0, _MOST_TONES):
            raise RefusedError(400, f"{name}: expected a whole number, 0 to {_MOST_TONES}")
        notes[name] = value
    return notes
