"""What a test has collected: stored at once, and once each."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from unmask.errors import ConfigError, FileError
from unmask.listen.database import (
    TABLES,
    IntegrityError,
    SQLAlchemyError,
    brief,
    open_database,
    sql,
    without_password,
)
from unmask.listen.database import answers as answers_
from unmask.listen.database import sessions as sessions_
from unmask.listen.database import sheets as sheets_
from unmask.listen.database import tests as tests_

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass(frozen=True)
class Sheet:
    """A page as one listener gets it."""

    position: int
    """From 1."""
    page: str
    repeat: int
    shown: tuple[str, ...]
    """Names of clips in the order of the letters: A, B, …"""
    opened_at: str | None = None
    fetched: int = 0
    """Bit k: clip k of the page, stimuli before references, was sent."""


@dataclass(frozen=True)
class Session:
    """A listener's visit."""

    id: str
    number: int
    started_at: str
    finished_at: str | None
    notes: Mapping[str, Any] = field(hash=False)
    """What the checks found."""


@dataclass(frozen=True)
class Answer:
    """What was said of a page."""

    position: int
    given: Mapping[str, Any] = field(hash=False)
    rt_s: float
    submitted_at: str


Stored = Literal["stored", "again", "other"]
#: Given the number of a new listener, and how often each page was given before: the sheets.
Assign = Callable[[int, Mapping[str, int]], Sequence[Sheet]]


def now() -> str:
    """Return the time, UTC, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Store:
    """The answers of one test.

    Parameters
    ----------
    url : str
        SQLAlchemy's: ``sqlite:///answers.sqlite`` or ``postgresql+psycopg://…``.
    test : str
        Id of the test; one PostgreSQL can hold several.

    Raises
    ------
    ConfigError
        If the URL is none.
    FileError
        If the database cannot be reached, or is a SQLite file of another test.
    """

    def __init__(self, url: str, test: str) -> None:
        self.test = test
        self._lock = threading.Lock()
        try:
            self._engine = open_database(url)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise ConfigError(
                f"database: {without_password(url)} is no URL of a database that can be used "
                f"({brief(error)}); expected postgresql+psycopg://USER@HOST/NAME"
            ) from error
        self.name = self._engine.url.render_as_string(hide_password=True)
        with self._writing() as connection:
            self._lock_out_others(connection)
            TABLES.create_all(connection)
            known = set(connection.scalars(sql.select(tests_.c.id)))
            if known - {test} and self._is_sqlite:
                raise FileError(
                    f"{self.name}: has answers to test {min(known)}, expected those to {test}; "
                    "choose another --database"
                )
            if test not in known:
                connection.execute(tests_.insert().values(id=test))

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def _lock_out_others(self, connection: "Connection") -> None:
        """Let nobody else write until this transaction ends; SQLite does so of itself."""
        if not self._is_sqlite:
            number = int.from_bytes(self.test.encode()[:7], "big")
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(number)))

    @contextmanager
    def _writing(self, use: str = "write") -> Iterator["Connection"]:
        """Begin a transaction; it is on the disk at the end, unless it only marks something."""
        one_at_a_time = self._lock if self._is_sqlite else nullcontext()
        with _spoken(self), one_at_a_time, self._engine.connect() as connection:
            connection = connection.execution_options(use=use)
            with connection.begin():
                yield connection

    @contextmanager
    def _reading(self) -> Iterator["Connection"]:
        with _spoken(self), self._engine.connect() as connection:
            yield connection.execution_options(use="read")

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def begin(
        self, session: str, token_hash: str, assign: Assign, notes: Mapping[str, Any]
    ) -> Session | None:
        """Store a new session and its sheets; None if it is there already.

        Parameters
        ----------
        session : str
            Its random name.
        token_hash : str
            Of the secret that its listener holds.
        assign : callable
        notes : mapping
        """
        with self._writing() as connection:
            self._lock_out_others(connection)
            same = sql.select(sessions_.c.id).where(sessions_.c.id == session)
            if connection.execute(same).one_or_none():
                return None
            here = sessions_.c.test == self.test
            count = sql.select(sql.func.coalesce(sql.func.max(sessions_.c.number), 0)).where(here)
            number = 1 + int(connection.execute(count).scalar_one())
            counts = self._counts(connection)
            started = now()
            row = {"id": session, "test": self.test, "number": number, "token_hash": token_hash}
            row |= {"started_at": started, "notes": json.dumps(notes)}
            connection.execute(sessions_.insert().values(row))
            connection.execute(
                sheets_.insert(),
                [
                    {"session": session, "position": sheet.position, "page": sheet.page}
                    | {"repeat": sheet.repeat, "shown": json.dumps(sheet.shown), "fetched": 0}
                    for sheet in assign(number, counts)
                ],
            )
        return Session(session, number, started, None, notes)

    def _counts(self, connection: "Connection") -> dict[str, int]:
        """Return how often each page was given."""
        given = (
            sql.select(sheets_.c.page, sql.func.count())
            .join(sessions_, sessions_.c.id == sheets_.c.session)
            .where(sessions_.c.test == self.test, sheets_.c.repeat == 0)
            .group_by(sheets_.c.page)
        )
        return {page: int(count) for page, count in connection.execute(given)}

    def session(self, token_hash: str) -> Session | None:
        """Return the session of a token, if there is one."""
        found = sql.select(sessions_).where(
            sessions_.c.token_hash == token_hash, sessions_.c.test == self.test
        )
        with self._reading() as connection:
            row = connection.execute(found).one_or_none()
        return None if row is None else _session(row)

    def n_sessions(self) -> int:
        """Return how many sessions have begun."""
        here = sql.select(sql.func.count()).where(sessions_.c.test == self.test)
        with self._reading() as connection:
            return int(connection.execute(here.select_from(sessions_)).scalar_one())

    def sessions(self) -> list[Session]:
        """Return all sessions in the order in which they began."""
        found = sql.select(sessions_).where(sessions_.c.test == self.test)
        with self._reading() as connection:
            return [_session(row) for row in connection.execute(found.order_by("number"))]

    def note(self, session: Session, notes: Mapping[str, Any]) -> Session:
        """Add to what is known of a session; what is known already stays."""
        with self._writing() as connection:
            one = sessions_.c.id == session.id
            found = sql.select(sessions_.c.notes).where(one).with_for_update()
            known = json.loads(connection.execute(found).scalar_one())
            merged = {**notes, **known}
            connection.execute(sessions_.update().where(one).values(notes=json.dumps(merged)))
        return Session(session.id, session.number, session.started_at, session.finished_at, merged)

    def sheets(self, session: str) -> list[Sheet]:
        """Return the pages of a session in their order."""
        found = sql.select(sheets_).where(sheets_.c.session == session).order_by("position")
        with self._reading() as connection:
            return [_sheet(row) for row in connection.execute(found)]

    def answered(self, session: str) -> set[int]:
        """Return the positions of a session that have an answer."""
        found = sql.select(answers_.c.position).where(answers_.c.session == session)
        with self._reading() as connection:
            return set(connection.scalars(found))

    def answers(self, session: str) -> list[Answer]:
        """Return the answers of a session in the order of its pages."""
        found = sql.select(answers_).where(answers_.c.session == session).order_by("position")
        with self._reading() as connection:
            return [
                Answer(row.position, json.loads(row.given), row.rt_s, row.submitted_at)
                for row in connection.execute(found)
            ]

    def fetched(self, session: str, position: int, clip: int) -> None:
        """Remember that a clip was sent, and when the first was.

        A power failure may undo this, and the page is then loaded again.
        """
        here = (sheets_.c.session == session) & (sheets_.c.position == position)
        bit = sheets_.c.fetched.bitwise_or(1 << clip)
        first = sql.func.coalesce(sheets_.c.opened_at, now())
        with self._writing("mark") as connection:
            connection.execute(sheets_.update().where(here).values(fetched=bit, opened_at=first))

    def answer(
        self, session: str, position: int, key: str, given: Mapping[str, Any], rt_s: float
    ) -> Stored:
        """Store an answer; once this returns, it is on the disk.

        Returns
        -------
        str
            ``stored``; ``again`` if this very answer (its key) is there already; ``other`` if
            another is, which stays.
        """
        row = {"session": session, "position": position, "key": key}
        row |= {"given": json.dumps(given), "rt_s": rt_s, "submitted_at": now()}
        try:
            with self._writing() as connection:
                connection.execute(answers_.insert().values(row))
                left = sql.select(sql.func.count()).select_from(
                    sheets_.outerjoin(
                        answers_,
                        (answers_.c.session == sheets_.c.session)
                        & (answers_.c.position == sheets_.c.position),
                    )
                )
                open_ = (sheets_.c.session == session) & answers_.c.key.is_(None)
                if connection.execute(left.where(open_)).scalar_one() == 0:
                    done = sessions_.update().where(sessions_.c.id == session)
                    connection.execute(done.values(finished_at=row["submitted_at"]))
        except IntegrityError:
            found = sql.select(answers_.c.key).where(
                answers_.c.session == session, answers_.c.position == position
            )
            with self._reading() as connection:
                return "again" if connection.execute(found).scalar_one() == key else "other"
        return "stored"


def _session(row: Any) -> Session:
    return Session(row.id, row.number, row.started_at, row.finished_at, json.loads(row.notes))


def _sheet(row: Any) -> Sheet:
    shown = tuple(json.loads(row.shown))
    return Sheet(row.position, row.page, row.repeat, shown, row.opened_at, row.fetched)


@contextmanager
def _spoken(store: Store) -> Iterator[None]:
    """Say in one line that the database fails."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise FileError(
            f"{getattr(store, 'name', 'database')}: {brief(error)}; is it there, and writable?"
        ) from error
