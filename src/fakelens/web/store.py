"""The store: the jobs of a server, each a row in SQLite and a folder.

::

    FOLDER/jobs.sqlite3     states, options, summaries
    FOLDER/lock.sqlite3     locked by the server that uses the folder
    FOLDER/jobs/ID/input    the upload
    FOLDER/jobs/ID/results  the files that ``save_report`` wrote, and review.json

A job exists once its row does, and its results exist once the row says that it is done. Anything
else in a job's folder when a server starts was left by one that was killed.
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

STORAGE_ERRORS = (OSError, sqlite3.Error)
"""Errors raised when files or rows cannot be written or read, for example on a full disk."""

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
_INPUT, _RESULTS, _UNFINISHED, _DELETED = "input", "results", "unfinished", ".gone"
_KEPT_FILES = {
    State.QUEUED: {_INPUT},
    State.FAILED: {_INPUT},
    State.DONE: {_INPUT, _RESULTS},
    State.CANCELLED: set[str](),
}
_CRASHED = (
    "the server stopped unexpectedly {times} times while this job was running; the upload may be "
    "the cause"
)


class Store:
    """The jobs and their folders. Not thread-safe.

    Args:
        folder: created if it does not exist, readable by this user only.
        max_crashes: a job fails after the server has died this many times while running it.

    Raises:
        OutputError: the folder is in use by another server, cannot be written, or contains the
            database of another version.
    """

    def __init__(self, folder: Path, *, max_crashes: int) -> None:
        self._jobs = folder / "jobs"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._jobs.mkdir(mode=0o700, exist_ok=True)
            self._lock = _lock(folder)
            self._database = _open(folder / "jobs.sqlite3")
            self._recover(max_crashes)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{folder}: results cannot be stored there: {reason}") from error

    def close(self) -> None:
        """Close the database and release the folder."""
        self._database.close()
        self._lock.close()

    def make_folder(self) -> str:
        """Create the folder of a new job. The job itself does not exist until ``add``.

        Returns:
            The job's id.
        """
        job = secrets.token_hex(_ID_BYTES)
        self.folder(job).mkdir(mode=0o700)
        return job

    def folder(self, job: str) -> Path:
        """Return the folder of a job."""
        return self._jobs / job

    def input(self, job: str) -> Path:
        """Return the path of the upload."""
        return self.folder(job) / _INPUT

    def results(self, job: str) -> Path:
        """Return the folder of the results."""
        return self.folder(job) / _RESULTS

    def unfinished(self, job: str) -> Path:
        """Return the folder that the worker fills before it becomes the results."""
        return self.folder(job) / _UNFINISHED

    def add(self, job: Job) -> None:
        """Add a new job at the end of the queue."""
        with self._database:
            self._database.execute(
                _INSERT,
                (job.id, job.state, job.name, job.bytes, str(job.every), job.trust, job.created),
            )

    def find(self, job: str) -> Job | None:
        """Return a job, or ``None`` if there is no job with this id."""
        row = self._database.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        return None if row is None else _job(row)

    def newest(self, limit: int, offset: int) -> list[Job]:
        """Return a page of jobs, newest first."""
        rows = self._database.execute(
            "SELECT * FROM jobs ORDER BY created DESC, turn DESC LIMIT ? OFFSET ?", (limit, offset)
        )
        return list(map(_job, rows))

    def count(self, *states: State) -> int:
        """Return the number of jobs in any of the given states, or of all jobs."""
        counted = states or tuple(State)
        marks = ", ".join("?" * len(counted))
        query = f"SELECT COUNT(*) FROM jobs WHERE state IN ({marks})"  # noqa: S608 - question marks
        (number,) = self._database.execute(query, counted).fetchone()
        return int(number)

    def next_queued(self) -> Job | None:
        """Return the job at the head of the queue, or ``None`` if the queue is empty."""
        row = self._database.execute(
            "SELECT * FROM jobs WHERE state = ? ORDER BY turn LIMIT 1", (State.QUEUED,)
        ).fetchone()
        return None if row is None else _job(row)

    def start(self, job: str) -> None:
        """Mark a job as running."""
        self._change(job, "state = ?, started = ?, attempts = attempts + 1", State.RUNNING, now())

    def requeue(self, job: str) -> None:
        """Put an interrupted job back into its place in the queue, without counting the attempt."""
        self._change(job, "state = ?, started = NULL, attempts = attempts - 1", State.QUEUED)

    def finish(self, job: str, outcome: OutcomeMessage) -> None:
        """Move a job's results into place and mark it as done."""
        if self.unfinished(job).exists():  # unless an earlier call failed after this step
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
        """Mark a job as failed and delete its files, except the upload."""
        self._change(job, "state = ?, finished = ?, error = ?", State.FAILED, now(), sentence)
        self.tidy(job, State.FAILED)

    def cancel(self, job: str) -> None:
        """Mark a job as cancelled and delete its files."""
        self._change(job, "state = ?, finished = ?", State.CANCELLED, now())
        self.tidy(job, State.CANCELLED)

    def retry(self, job: str) -> None:
        """Put a job at the end of the queue again."""
        self._change(
            job,
            f"state = ?, turn = {_NEXT_TURN}, started = NULL, finished = NULL, error = NULL, "
            "lost = 0",
            State.QUEUED,
        )

    def delete(self, job: str) -> Path:
        """Delete the row of a job.

        Returns:
            The renamed folder of the job, to be deleted with ``remove``.
        """
        folder = self.folder(job)
        deleted = folder.with_name(folder.name + _DELETED)
        if folder.exists():
            folder.rename(deleted)  # fast and atomic; deleting the files can take a while
        with self._database:
            self._database.execute("DELETE FROM jobs WHERE id = ?", (job,))
        return deleted

    def discard_folder(self, job: str) -> None:
        """Delete the folder of a job that was never added."""
        shutil.rmtree(self.folder(job), ignore_errors=True)

    def tidy(self, job: str, state: State) -> None:
        """Delete the files that a job in this state does not need."""
        folder = self.folder(job)
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in _KEPT_FILES[state]:
                remove(path)
        if not _KEPT_FILES[state]:
            remove(folder)

    def _change(self, job: str, assignments: str, *values: object) -> None:
        with self._database:
            self._database.execute(
                f"UPDATE jobs SET {assignments} WHERE id = ?",  # noqa: S608 - constants of this file
                (*values, job),
            )

    def _recover(self, max_crashes: int) -> None:
        """Restore a consistent state after a server that was killed."""
        with self._database:
            self._database.execute(
                "UPDATE jobs SET state = ?, started = NULL, lost = lost + 1 WHERE state = ?",
                (State.QUEUED, State.RUNNING),
            )
            self._database.execute(
                "UPDATE jobs SET state = ?, finished = ?, error = ? WHERE state = ? AND lost >= ?",
                (
                    State.FAILED,
                    now(),
                    _CRASHED.format(times=max_crashes),
                    State.QUEUED,
                    max_crashes,
                ),
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
                remove(self.delete(job))  # its deletion was interrupted


def now() -> str:
    """Return the current time in UTC as ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_durably(path: Path, text: str) -> None:
    """Replace a file atomically: after a crash or power failure it is either old or new."""
    unfinished = path.with_name(f".{path.name}.partial")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _job(row: sqlite3.Row) -> Job:
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a row is not a mapping
    del values["turn"], values["lost"]
    values["every"] = values["every"] if values["every"] == "auto" else int(values["every"])
    values["summary"] = values["summary"] and json.loads(values["summary"])
    return Job.model_validate(values)


def _lock(folder: Path) -> sqlite3.Connection:
    """Lock the folder until the connection is closed or the process ends, on every platform."""
    lock = sqlite3.connect(folder / "lock.sqlite3", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise OutputError(
            f"{folder}: in use by another 'fakelens serve': stop it, or choose another --folder"
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
            f"{path}: written by another version of fakelens (format {version}, this version reads "
            f"{_VERSION}): choose another --folder"
        )
    return database


def _is_left_over(folder: Path) -> bool:
    """Return whether a folder without a row was left by an aborted upload or a deletion.

    A folder with results is kept, because then the row must have been lost.
    """
    name = folder.name.removesuffix(_DELETED)
    is_job = len(name) == _ID_BYTES * 2 and set(name) <= set(hexdigits)
    return is_job and (name != folder.name or not (folder / _RESULTS).exists())


def remove(path: Path) -> None:
    """Delete a file or a folder if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
