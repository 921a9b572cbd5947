"""The tables that answers are in, and the databases that can hold them: SQLite, PostgreSQL."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unmask.errors import MissingExtraError

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError
except ImportError:  # pragma: no cover
    raise MissingExtraError(
        'SQLAlchemy is not installed, listening tests need it; pip install "unmask[listen]"'
    ) from None

__all__ = [
    "TABLES",
    "IntegrityError",
    "SQLAlchemyError",
    "answers",
    "brief",
    "open_database",
    "sessions",
    "sheets",
    "sql",
    "sqlite_url",
    "tests",
    "without_password",
]

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

TABLES = sql.MetaData()
tests = sql.Table("tests", TABLES, sql.Column("id", sql.String(64), primary_key=True))
sessions = sql.Table(
    "sessions",
    TABLES,
    sql.Column("id", sql.String(32), primary_key=True),
    sql.Column("test", sql.String(64), nullable=False),
    sql.Column("number", sql.Integer, nullable=False),
    sql.Column("token_hash", sql.String(64), nullable=False, unique=True),
    sql.Column("started_at", sql.String(32), nullable=False),
    sql.Column("finished_at", sql.String(32)),
    sql.Column("notes", sql.Text, nullable=False),
    sql.UniqueConstraint("test", "number"),
)
sheets = sql.Table(
    "sheets",
    TABLES,
    sql.Column("session", sql.String(32), sql.ForeignKey("sessions.id"), primary_key=True),
    sql.Column("position", sql.Integer, primary_key=True),
    sql.Column("page", sql.String(32), nullable=False),
    sql.Column("repeat", sql.Integer, nullable=False),
    sql.Column("shown", sql.Text, nullable=False),
    sql.Column("opened_at", sql.String(32)),
    sql.Column("fetched", sql.Integer, nullable=False, default=0),
)
answers = sql.Table(
    "answers",
    TABLES,
    sql.Column("session", sql.String(32), primary_key=True),
    sql.Column("position", sql.Integer, primary_key=True),
    sql.Column("key", sql.String(64), nullable=False),
    sql.Column("given", sql.Text, nullable=False),
    sql.Column("rt_s", sql.Float, nullable=False),
    sql.Column("submitted_at", sql.String(32), nullable=False),
    sql.ForeignKeyConstraint(["session", "position"], ["sheets.session", "sheets.position"]),
)


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file."""
    return sql.URL.create("sqlite", database=str(path.resolve())).render_as_string()


def open_database(url: str) -> "Engine":
    """Return an engine for a URL; raises `ValueError` or an error of SQLAlchemy if it is none."""
    parsed = sql.make_url(url)
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ValueError("only sqlite and postgresql are known")
    if parsed.get_backend_name() == "postgresql":
        engine = sql.create_engine(parsed, pool_size=10, max_overflow=20, pool_pre_ping=True)
        sql.event.listen(engine, "begin", _begin_postgresql)
        return engine
    engine = sql.create_engine(parsed, connect_args={"timeout": 30})
    sql.event.listen(engine, "connect", _prepare)
    sql.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _use(connection: "Connection") -> str:
    """Return what a transaction is for: ``read``, ``write``, or ``mark`` what may be forgotten."""
    return str(connection.get_execution_options().get("use", "write"))


def _begin_sqlite(connection: "Connection") -> None:
    """Take the lock for writing at once: a reader that becomes a writer may be refused."""
    use = _use(connection)
    if use != "read":
        flush = "NORMAL" if use == "mark" else "FULL"
        connection.exec_driver_sql(f"PRAGMA synchronous={flush}")
    connection.exec_driver_sql("BEGIN" if use == "read" else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: "Connection") -> None:
    if _use(connection) == "mark":
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")


def _prepare(connection: Any, _record: Any) -> None:
    """Let SQLite write ahead."""
    connection.isolation_level = None
    for line in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {line}")


def brief(error: Exception) -> str:
    """Return the first line of what a database says."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def without_password(url: str) -> str:
    """Return a URL that may be shown."""
    try:
        return sql.make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return repr(url.split("@")[-1])
