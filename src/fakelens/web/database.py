"""The database of a server: the jobs as rows in SQLite."""

import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fakelens.errors import OutputError
from fakelens.web import listing
from fakelens.web.listing import Listing
from fakelens.web.schemas import Job, State

_log = logging.getLogger("fakelens.web")

_VERSION = 3  # versions 1 and 2 had the same table, but cannot read these summaries
_COLUMNS = {
    "id": "TEXT PRIMARY KEY",
    "turn": "INTEGER NOT NULL",
    "state": "TEXT NOT NULL",
    "name": "TEXT NOT NULL",
    "bytes": "INTEGER NOT NULL",
    "every": "TEXT NOT NULL",
    "trust": "INTEGER NOT NULL",
    "created": "TEXT NOT NULL",
    "started": "TEXT",
    "finished": "TEXT",
    "error": "TEXT",
    "attempts": "INTEGER NOT NULL DEFAULT 0",
    "lost": "INTEGER NOT NULL DEFAULT 0",
    "summary": "TEXT",
}
_SCHEMA = f"""
CREATE TABLE jobs ({", ".join(map(" ".join, _COLUMNS.items()))}) STRICT;
CREATE INDEX by_state ON jobs (state, turn);
PRAGMA user_version = 0;
"""
_INSERTED = [name for name in _COLUMNS if name not in ("turn", "lost")]
_NEXT_TURN = "(SELECT COALESCE(MAX(turn), 0) + 1 FROM jobs)"
_INSERT = f"""
INSERT OR REPLACE INTO jobs (turn, {", ".join(_INSERTED)})
VALUES ({_NEXT_TURN}, {", ".join(f":{name}" for name in _INSERTED)})
"""  # noqa: S608 - constants
_HAS_ID = "length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'"  # other rows cannot be requested
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DAMAGED_ROW = "the record of this job is damaged and cannot be read"
_UNKNOWN_TIME = "1970-01-01T00:00:00.000+00:00"


class _DamageError(Exception):
    """The database is damaged."""


class Database:
    """The rows of the jobs. Not thread-safe.

    A damaged database is renamed, and an empty one takes its place.

    Args:
        path: of the file; created if it does not exist.

    Attributes:
        version: format in which the database was found; 0 if it was created, or if a server has
            created it but was interrupted before it had read the jobs from their folders.

    Raises:
        OutputError: the database was written by another version.
        sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection, self.version = _open(path)
        except _DamageError as damage:
            _rename_damaged(path, str(damage))
            self._connection, self.version = _open(path)
        listing.register(self._connection)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def confirm_version(self) -> None:
        """Record that the rows are complete and in the current format."""
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")

    def insert(self, *jobs: Job) -> None:
        """Add jobs at the end of the queue, or replace the rows with their ids: all or none."""
        rows = [
            {name: getattr(job, name) for name in _INSERTED}
            | {
                "every": str(job.every),
                "summary": job.summary and job.summary.model_dump_json(),
            }
            for job in jobs
        ]
        with self._connection:
            self._connection.executemany(_INSERT, rows)

    def find(self, job: str) -> Job | None:
        """Return a job, or ``None`` if there is no job with this id."""
        rows = self._connection.execute("SELECT * FROM jobs WHERE id = ?", (job,))
        return next(map(_read, rows), None)

    def page(self, wanted: Listing) -> list[Job]:
        """Return a page of jobs."""
        condition, values = wanted.condition()
        rows = self._connection.execute(
            f"SELECT * FROM jobs WHERE {_HAS_ID} AND {condition} "  # noqa: S608 - constants
            f"ORDER BY {wanted.order()} LIMIT ? OFFSET ?",
            (*values, wanted.limit, wanted.offset),
        )
        return list(map(_read, rows))

    def count_matches(self, wanted: Listing) -> int:
        """Return the number of jobs on all pages."""
        condition, values = wanted.condition()
        return self._count(f"{_HAS_ID} AND {condition}", *values)

    def count(self, *states: State) -> int:
        """Return the number of jobs in any of the given states."""
        return self._count(f"state IN ({', '.join('?' * len(states))})", *states)

    def count_without_id(self) -> int:
        """Return the number of rows whose id is damaged."""
        return self._count(f"NOT ({_HAS_ID})")

    def queued(self, *, lost: int = 0) -> Iterator[Job]:
        """Yield the queued jobs, the head of the queue first; damaged rows are left out.

        Args:
            lost: leave out jobs during which the server has died less often.
        """
        rows = self._connection.execute(
            "SELECT * FROM jobs WHERE state = ? AND lost >= ? ORDER BY turn", (State.QUEUED, lost)
        )
        return (job for job in map(_read, rows) if job.state is State.QUEUED)

    def ended_before(self, time: str) -> list[Job]:
        """Return the jobs that ended before a time, as ``now`` formats it."""
        rows = self._connection.execute(
            f"SELECT * FROM jobs WHERE {_HAS_ID} AND finished < ?",  # noqa: S608 - a constant
            (time,),
        )
        return [job for job in map(_read, rows) if job.state.is_over]

    def all(self) -> list[Job]:
        """Return all jobs with an id."""
        rows = self._connection.execute(f"SELECT * FROM jobs WHERE {_HAS_ID}")  # noqa: S608
        return list(map(_read, rows))

    def change(self, condition: str, assignments: str, *values: object) -> None:
        """Change rows; the arguments before the values are parts of the SQL statement."""
        with self._connection:
            self._connection.execute(
                f"UPDATE jobs SET {assignments} WHERE {condition}",  # noqa: S608 - constants
                values,
            )

    def delete(self, job: str) -> None:
        """Delete the row of a job."""
        with self._connection:
            self._connection.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def _count(self, condition: str, *values: object) -> int:
        query = f"SELECT COUNT(*) FROM jobs WHERE {condition}"  # noqa: S608 - constants
        (number,) = self._connection.execute(query, values).fetchone()
        return int(number)


def now() -> str:
    """Return the current time in UTC as ISO 8601, to the millisecond."""
    return format_time(datetime.now(UTC))


def format_time(time: datetime) -> str:
    """Return a time in UTC as ISO 8601, to the millisecond."""
    return time.isoformat(timespec="milliseconds")


def lock(folder: Path) -> sqlite3.Connection:
    """Lock the folder until the connection is closed or the process ends, on every platform.

    Raises:
        OutputError: another server uses the folder, or the lock is damaged.
    """
    path = folder / "lock.sqlite3"
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        connection.close()
        if error.sqlite_errorcode in _DAMAGE:
            raise OutputError(f"{path}: is damaged: delete this file and start again") from error
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise OutputError(
            f"{folder}: in use by another 'fakelens serve': stop it, or choose another --folder"
        ) from error
    return connection


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    """Return the connection, and the version of the database; 0 if it is new."""
    connection = sqlite3.connect(path)
    try:
        return connection, _prepare(connection, path)
    except BaseException as error:
        connection.close()
        code = getattr(error, "sqlite_errorcode", None) or 0
        # A damaged schema can be quoted in SQLite's message, which Python then cannot decode.
        if code & 0xFF in _DAMAGE or isinstance(error, UnicodeDecodeError):
            raise _DamageError(str(error)) from error
        raise


def _prepare(connection: sqlite3.Connection, path: Path) -> int:
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise OutputError(
            f"{path}: written by another version of fakelens (format {version}, this version reads "
            f"{_VERSION}): choose another --folder"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not tables:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        return 0
    (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if problem != "ok":
        raise _DamageError(problem)
    if {row["name"] for row in connection.execute("PRAGMA table_info(jobs)")} != set(_COLUMNS):
        raise _DamageError("the table of jobs is missing or has other columns")
    return version


def _rename_damaged(path: Path, reason: str) -> None:
    time = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    kept = path.with_name(f"{path.name}.damaged-{time}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    _log.error(
        "%s is damaged (%s) and was renamed to %s; the list of jobs is read from their folders",
        *(path, " ".join(reason.split()), kept.name),
    )


def _read(row: sqlite3.Row) -> Job:
    """Return the job in a row; one with the state *damaged* if the row cannot be read."""
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a row is not a mapping
    del values["turn"], values["lost"]
    try:
        values["every"] = values["every"] if values["every"] == "auto" else int(values["every"])
        values["summary"] = values["summary"] and json.loads(values["summary"])
        return Job.model_validate(values)
    except (ValueError, RecursionError):  # also those of json and pydantic
        return Job(
            id=values["id"],
            name=values["name"],
            state=State.DAMAGED,
            bytes=max(0, values["bytes"]),
            every="auto",
            trust=bool(values["trust"]),
            created=_time(values["created"]),
            error=_DAMAGED_ROW,
        )


def _time(text: str) -> str:
    return text if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", text) else _UNKNOWN_TIME
