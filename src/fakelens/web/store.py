"""The jobs of a server: one row each in SQLite, and a folder each.

::

    FOLDER/jobs.sqlite3     states, options, summaries
    FOLDER/lock.sqlite3     held by the server that works here
    FOLDER/jobs/ID/input    the upload
    FOLDER/jobs/ID/results  what ``save_report`` wrote, and review.json

A job exists as soon as its row does, and its results as soon as the row says that it is done:
whatever else lies in its folder when a server starts is left over from one that was killed.
"""

import json
import os
import secrets
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from string import hexdigits

from fakelens.errors import OutputError
from fakelens.web import files
from fakelens.web.messages import OutcomeMessage
from fakelens.web.schemas import Job, State, Summary

UNSTORABLE = (OSError, sqlite3.Error)
"""What goes wrong where nothing can be stored, as on a full disk."""

_VERSION = 1
_ID_BYTES = 16
_SCHEMA = f"""
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    turn INTEGER NOT NULL,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    every TEXT NOT NULL,
    trust INTEGER NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    finished TEXT,
    error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    summary TEXT
) STRICT;
CREATE INDEX by_state ON jobs (state, turn);
PRAGMA user_version = {_VERSION};
"""
_NEXT_TURN = "(SELECT COALESCE(MAX(turn), 0) + 1 FROM jobs)"
_INSERT = f"""
INSERT INTO jobs (id, turn, state, name, bytes, every, trust, created)
VALUES (?, {_NEXT_TURN}, ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - a constant
_INPUT, _RESULTS, _UNFINISHED, _GONE = "input", "results", "unfinished", ".gone"
_KEPT = {
    State.QUEUED: {_INPUT},
    State.FAILED: {_INPUT},
    State.DONE: {_INPUT, _RESULTS},
    State.CANCELLED: set[str](),
}
_LOST = "the server ended {times} times while it worked on this; it may be what brings it down"


class Store:
    """Jobs and their folders; to be used from one thread.

    Args:
        folder: made if it does not exist, for this user alone.
        lost: a job that was at work whenever the server died fails after so many times.

    Raises:
        OutputError: another server works there, it cannot be written, or it holds something else.
    """

    def __init__(self, folder: Path, *, lost: int) -> None:
        self._jobs = folder / "jobs"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._jobs.mkdir(mode=0o700, exist_ok=True)
            self._lock = _lock(folder)
            self._database = _open(folder / "jobs.sqlite3")
            self._recover(lost)
        except (OSError, sqlite3.Error) as error:
            words = getattr(error, "strerror", None) or error
            raise OutputError(f"{folder}: cannot keep results there: {words}") from error

    def close(self) -> None:
        """Let others work there."""
        self._database.close()
        self._lock.close()

    def make_folder(self) -> str:
        """Make the folder of a job to come; it is nobody's until ``add``.

        Returns:
            The job's id.
        """
        job = secrets.token_hex(_ID_BYTES)
        self.folder(job).mkdir(mode=0o700)
        return job

    def folder(self, job: str) -> Path:
        """Of a job."""
        return self._jobs / job

    def input(self, job: str) -> Path:
        """The upload."""
        return self.folder(job) / _INPUT

    def results(self, job: str) -> Path:
        """The folder of the results."""
        return self.folder(job) / _RESULTS

    def unfinished(self, job: str) -> Path:
        """Where a worker puts results before they are complete; beside where they go."""
        return self.folder(job) / _UNFINISHED

    def add(self, job: Job) -> None:
        """Put a new job at the end of the queue."""
        with self._database:
            self._database.execute(
                _INSERT,
                (job.id, job.state, job.name, job.bytes, str(job.every), job.trust, job.created),
            )

    def find(self, job: str) -> Job | None:
        """A job by its id."""
        row = self._database.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else _job(row)

    def newest(self, limit: int, offset: int) -> list[Job]:
        """Jobs, the newest first."""
        rows = self._database.execute(
            "SELECT * FROM jobs ORDER BY created DESC, turn DESC LIMIT ? OFFSET ?", (limit, offset)
        )
        return list(map(_job, rows))

    def count(self, *states: State) -> int:
        """Number of jobs in some states; of all without any."""
        wanted = states or tuple(State)
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN ({marks})"  # noqa: S608 - question marks
        (number,) = self._database.execute(query, wanted).fetchone()
        return int(number)

    def next_queued(self) -> Job | None:
        """Whose turn it is."""
        row = self._database.execute(
            "SELECT * FROM jobs WHERE state = ? ORDER BY turn LIMIT 1", (State.QUEUED,)
        ).fetchone()
        return None if row is None else _job(row)

    def start(self, job: str) -> None:
        """It is at work."""
        self._change(job, "state = ?, started = ?, attempts = attempts + 1", State.RUNNING, now())

    def put_back(self, job: str) -> None:
        """It is not at work any more, through no fault of its own; it keeps its turn."""
        self._change(job, "state = ?, started = NULL, attempts = attempts - 1", State.QUEUED)

    def finish(self, job: str, outcome: OutcomeMessage) -> None:
        """Put its results in their place."""
        if self.unfinished(job).exists():  # not if this was begun before
            self.unfinished(job).rename(self.results(job))
        summary = Summary(
            video_sha256=outcome.video_sha256,
            faces_found=outcome.faces_found,
            persons=outcome.persons,
            links=files.links(job, self.results(job)),
        )
        text = summary.model_dump_json()
        self._change(job, "state = ?, finished = ?, summary = ?", State.DONE, now(), text)

    def fail(self, job: str, sentence: str) -> None:
        """It has no results; what else is in its folder goes, but for the upload."""
        self._change(job, "state = ?, finished = ?, error = ?", State.FAILED, now(), sentence)
        self.tidy(job, State.FAILED)

    def cancel(self, job: str) -> None:
        """Nobody wants it any more; its files go."""
        self._change(job, "state = ?, finished = ?", State.CANCELLED, now())
        self.tidy(job, State.CANCELLED)

    def retry(self, job: str) -> None:
        """Put it at the end of the queue again."""
        self._change(
            job,
            f"state = ?, turn = {_NEXT_TURN}, started = NULL, finished = NULL, error = NULL, "
            "lost = 0",
            State.QUEUED,
        )

    def delete(self, job: str) -> Path:
        """Forget it.

        Returns:
            What is left of its files, to be taken away with ``remove``.
        """
        folder = self.folder(job)
        gone = folder.with_name(folder.name + _GONE)
        if folder.exists():
            folder.rename(gone)  # at once: then the row can go, and then what takes time
        with self._database:
            self._database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        return gone

    def abandon(self, job: str) -> None:
        """Take away the folder of a job that came to nothing."""
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def tidy(self, job: str, state: State) -> None:
        """Take away what a job in that state does not need."""
        folder = self.folder(job)
        for place in folder.iterdir() if folder.exists() else ():
            if place.name not in _KEPT[state]:
                remove(place)
        if not _KEPT[state]:
            remove(folder)

    def _change(self, job: str, what: str, *values: object) -> None:
        with self._database:
            self._database.execute(
                f"UPDATE jobs SET {what} WHERE id = ?",  # noqa: S608 - constants of this file
                (*values, job),
            )

    def _recover(self, lost: int) -> None:
        """Put the folder in order after a server that was killed."""
        with self._database:
            self._database.execute(
                "UPDATE jobs SET state = ?, started = NULL, lost = lost + 1 WHERE state = ?",
                (State.QUEUED, State.RUNNING),
            )
            self._database.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ? WHERE state = ? AND lost >= ?",
                (State.FAILED, now(), _LOST.format(times=lost), State.QUEUED, lost),
            )
        states = dict(self._database.execute("SELECT id, state FROM jobs"))
        for folder in self._jobs.iterdir():
            if folder.name in states:
                self.tidy(folder.name, State(states[folder.name]))
            elif _is_left_over(folder):
                remove(folder)
        for job, state in states.items():
            needed = _RESULTS if state == State.DONE else _INPUT
            if state != State.CANCELLED and not (self.folder(job) / needed).exists():
                remove(self.delete(job))  # it was being deleted


def now() -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_durably(path: Path, text: str) -> None:
    """Write a file so that it is either as before or whole, also after the power went."""
    unfinished = path.with_name(f".{path.name}.partial")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _job(row: sqlite3.Row) -> Job:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a row is no mapping
    del values["turn"], values["lost"]
    values["every"] = values["every"] if values["every"] == "auto" else int(values["every"])
    values["summary"] = values["summary"] and json.loads(values["summary"])
    return Job.model_validate(values)


def _lock(folder: Path) -> sqlite3.Connection:
    """Held until it is closed or the process ends, however it does; on every system alike."""
    lock = sqlite3.connect(folder / "lock.sqlite3", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise OutputError(
            f"{folder}: another 'fakelens serve' works there: end it, or name another --folder"
        ) from error
    return lock


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 0:
        database.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    elif version != _VERSION:
        database.close()
        raise OutputError(
            f"{path}: is of another version of fakelens ({version}, this one knows {_VERSION}): "
            "name another --folder"
        )
    return database


def _is_left_over(folder: Path) -> bool:
    """Of an upload that was broken off, or of a job that was deleted.

    Results that no row knows are left alone: it is the table that was lost.
    """
    name = folder.name.removesuffix(_GONE)
    ours = len(name) == _ID_BYTES * 2 and set(name) <= set(hexdigits)
    return ours and (name != folder.name or not (folder / _RESULTS).exists())


def remove(place: Path) -> None:
    """Take away a file or a folder, if it is there."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
