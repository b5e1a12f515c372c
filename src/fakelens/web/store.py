"""The store: the jobs of a server, each a row in SQLite and a folder.

::

    FOLDER/jobs.sqlite3     the jobs: states, options, summaries
    FOLDER/lock.sqlite3     locked by the server that uses the folder
    FOLDER/jobs/ID          the files of a job, see ``folders``

A job exists once its row does. Its folder has a copy of what the row says, so that the database can
be rebuilt. The copy is written first, and then the row, so that the copy is never the older one.
"""

import contextlib
import logging
import sqlite3
from datetime import datetime
from pathlib import Path

from fakelens.errors import OutputError
from fakelens.web import database, files, folders, recovery, reviews
from fakelens.web.database import Database, format_time, now
from fakelens.web.listing import Listing
from fakelens.web.messages import OutcomeMessage
from fakelens.web.schemas import Job, State

_log = logging.getLogger("fakelens.web")

STORAGE_ERRORS = (OSError, sqlite3.Error)
"""Errors raised when files or rows cannot be written or read, for example on a full disk."""

_ONE = "id = ?"
_RESULTS_MISSING = "the results of this job are no longer on the server's disk"


class Store:
    """The jobs and their folders. Not thread-safe.

    Args:
        folder: created if it does not exist, readable by this user only.
        max_crashes: a job fails after the server has died this many times while running it.

    Attributes:
        jobs: the folder that contains the folders of the jobs.

    Raises:
        OutputError: the folder is in use by another server, cannot be written, contains the
            database of another version, or lacks the files of its jobs.
    """

    def __init__(self, folder: Path, *, max_crashes: int) -> None:
        self.jobs = folder / "jobs"
        with contextlib.ExitStack() as opened:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                opened.callback(database.lock(folder).close)
                self._database = Database(folder / "jobs.sqlite3")
                opened.callback(self._database.close)
                recovery.recover(self._database, self.jobs, max_crashes)
            except STORAGE_ERRORS as error:
                reason = getattr(error, "strerror", None) or error
                raise OutputError(f"{folder}: results cannot be stored there: {reason}") from error
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the database and release the folder."""
        self._opened.close()

    def make_folder(self) -> str:
        """Create the folder of a new job. The job itself does not exist until ``add``.

        Returns:
            The job's id.
        """
        return folders.make(self.jobs)

    def folder(self, job: str) -> Path:
        """Return the folder of a job."""
        return self.jobs / job

    def input(self, job: str) -> Path:
        """Return the path of the upload."""
        return self.folder(job) / folders.INPUT

    def results(self, job: str) -> Path:
        """Return the folder of the results."""
        return self.folder(job) / folders.RESULTS

    def thumbnail(self, job: str) -> Path:
        """Return the path of the thumbnail, which may not exist."""
        return self.folder(job) / folders.THUMBNAIL

    def unfinished(self, job: str) -> Path:
        """Return the folder that the worker fills before it becomes the results."""
        return self.folder(job) / folders.UNFINISHED

    def add(self, job: Job) -> None:
        """Add a new job at the end of the queue."""
        folders.write_record(self.folder(job.id), job)
        self._database.insert(job)

    def find(self, job: str) -> Job | None:
        """Return a job, or ``None`` if there is no job with this id."""
        found = self._database.find(job)
        return found and self._with_files(found)

    def page(self, wanted: Listing) -> list[Job]:
        """Return a page of the list of jobs."""
        return list(map(self._with_files, self._database.page(wanted)))

    def count_matches(self, wanted: Listing) -> int:
        """Return the number of jobs on all pages of a list."""
        return self._database.count_matches(wanted)

    def count(self, *states: State) -> int:
        """Return the number of jobs in any of the given states."""
        return self._database.count(*states)

    def next_queued(self) -> Job | None:
        """Return the job at the head of the queue, or ``None`` if the queue is empty."""
        return next(self._database.queued(), None)

    def ended_before(self, time: datetime) -> list[Job]:
        """Return the jobs that ended before a time in UTC."""
        return list(map(self._with_files, self._database.ended_before(format_time(time))))

    def start(self, job: str) -> None:
        """Mark a job as running."""
        changes = "state = ?, started = ?, attempts = attempts + 1"
        self._database.change(_ONE, changes, State.RUNNING, now(), job)

    def requeue(self, job: str) -> None:
        """Put an interrupted job back into its place in the queue, without counting the attempt."""
        changes = "state = ?, started = NULL, attempts = attempts - 1"
        self._database.change(_ONE, changes, State.QUEUED, job)

    def finish(self, job: str, outcome: OutcomeMessage) -> None:
        """Move a job's results into place and mark it as done."""
        if self.unfinished(job).exists():  # unless an earlier call failed after this step
            if aside := folders.set_aside(self.results(job)):
                _log.warning(
                    "job %s: its earlier results came back; they are now in %s", job, aside
                )
            self.unfinished(job).rename(self.results(job))
        summary = files.summarize(job, self.results(job), outcome)
        finished = now()
        self._record(job, state=State.DONE, finished=finished, summary=summary)
        changes = "state = ?, finished = ?, summary = ?"
        text = summary.model_dump_json()
        self._database.change(_ONE, changes, State.DONE, finished, text, job)

    def fail(self, job: str, sentence: str) -> None:
        """Mark a job as failed and delete its files, except the upload and earlier results."""
        finished = now()
        self._record(job, state=State.FAILED, finished=finished, error=sentence)
        changes = "state = ?, finished = ?, error = ?"
        self._database.change(_ONE, changes, State.FAILED, finished, sentence, job)
        folders.tidy(self.folder(job), State.FAILED)

    def cancel(self, job: str) -> None:
        """Mark a job as cancelled and delete its files, except earlier results."""
        self._database.change(_ONE, "state = ?, finished = ?", State.CANCELLED, now(), job)
        folders.tidy(self.folder(job), State.CANCELLED)

    def retry(self, job: str) -> None:
        """Put a job at the end of the queue again; if its row is damaged, repair that first."""
        if self._repair(job):
            return
        cleared = dict.fromkeys(("started", "finished", "error", "summary"))
        if queued := self._record(job, state=State.QUEUED, **cleared):
            self._database.insert(queued)  # as a new row, because a damaged one stays damaged

    def delete(self, job: str) -> Path:
        """Delete the row of a job.

        Returns:
            The renamed folder of the job, to be deleted with ``folders.remove``.
        """
        deleted = folders.mark_deleted(self.folder(job))
        self._database.delete(job)
        return deleted

    def discard_folder(self, job: str) -> None:
        """Delete the folder of a job that was never added."""
        folders.remove(self.folder(job))

    def _repair(self, job: str) -> bool:
        """Read a job whose row is damaged from its folder, and return whether it has results."""
        found = self._database.find(job)
        if found is None or found.state is not State.DAMAGED:
            return False
        recovered = recovery.read_job(self.folder(job))
        if recovered:
            self._database.insert(recovered)
        return recovered is not None and recovered.state is State.DONE

    def _record(self, job: str, **changes: object) -> Job | None:
        """Write a job with changes to its folder, and return it."""
        found = self._database.find(job)
        changed = found and found.model_copy(update=changes)
        if changed:
            folders.write_record(self.folder(job), changed)
        return changed

    def _with_files(self, job: Job) -> Job:
        """Return the job with what its files say: the reviews, or that the results are missing."""
        if job.state is not State.DONE:
            return job
        results = self.results(job.id)
        if not results.is_dir():
            return job.model_copy(update={"state": State.DAMAGED, "error": _RESULTS_MISSING})
        return job.model_copy(update={"reviews": reviews.read_notes(results)})
