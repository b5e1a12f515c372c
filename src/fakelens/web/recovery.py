"""Recovery at the start of a server: make the rows and the folders of the jobs consistent.

The server may have been killed, the database may be lost or damaged, and folders may be missing.
Nothing that may be wanted is deleted: a row whose files are missing stays, and a folder with an
upload or results gets a row.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

from fakelens.errors import OutputError
from fakelens.records.settings import EXAMINE_EVERY
from fakelens.web import files, folders, outcomes
from fakelens.web.database import Database, format_time, now
from fakelens.web.outcomes import SavedReport
from fakelens.web.schemas import Job, State

_log = logging.getLogger("fakelens.web")

_WITH_OLD_SUMMARIES = (1, 2)  # versions of the database

_UNNAMED = "recovered upload"
_UNNAMED_RESULTS = "recovered results"
_REPORT_DAMAGED = "the report of this job is missing or damaged; its other files were kept"
_INPUT_MISSING = "the upload of this job is no longer on the server's disk"
_RESULTS_LOST = "the results of this job are missing; run it again"
_CRASHED = (
    "the server stopped unexpectedly {times} times while this job was running; the upload may be "
    "the cause"
)


def recover(database: Database, jobs: Path, max_crashes: int) -> None:
    """Make the rows and the folders of the jobs consistent.

    Args:
        database: the rows.
        jobs: folder of the jobs; created if there are no jobs.
        max_crashes: a job fails after the server has died this many times while running it.

    Raises:
        OutputError: there are jobs, but the folders of all of them are missing.
    """
    _delete_rows_of_deleted(database, jobs)
    _check_present(jobs, database.all())
    jobs.mkdir(mode=0o700, exist_ok=True)
    if database.version in _WITH_OLD_SUMMARIES:
        _rebuild_summaries(database, jobs)
    _queue_interrupted(database, jobs, max_crashes)
    known = {job.id: job for job in database.all()}
    found: list[Job] = []
    for folder in sorted(jobs.iterdir()):
        if folder.name.endswith(folders.DELETED) and folders.is_job(folder.stem):
            folders.remove(folder)
        elif folders.is_job(folder.name) and folder.is_dir():
            found += _compare(folder, known.get(folder.name), may_be_lost=not database.version)
    # All or none: if the server is interrupted, the next start reads all folders again.
    database.insert(*sorted(found, key=lambda job: job.created))  # the queue keeps its order
    database.confirm_version()
    if found:
        _log.error("%s: jobs recovered from their folders: %d", jobs, len(found))
    _fail_without_upload(database, jobs)
    damaged = {job.id for job in known.values() if job.state is State.DAMAGED}
    number = len(damaged - {job.id for job in found}) + database.count_without_id()
    if number:
        _log.error("damaged records of jobs, which cannot be read: %d", number)


def _delete_rows_of_deleted(database: Database, jobs: Path) -> None:
    """Finish deletions that were interrupted between the folder and the row."""
    for folder in jobs.glob(f"*{folders.DELETED}"):
        if folders.is_job(folder.stem) and not folder.with_suffix("").exists():
            database.delete(folder.stem)


def _check_present(jobs: Path, known: list[Job]) -> None:
    """Refuse to start if the disk with the folders is probably not mounted."""
    with_files = [job for job in known if job.state is not State.CANCELLED]
    if with_files and not (jobs.is_dir() and any(folders.is_job(f.name) for f in jobs.iterdir())):
        raise OutputError(
            f"{jobs}: the files of all {len(with_files)} jobs are missing: mount or restore this "
            "folder, or delete jobs.sqlite3 to start without these jobs"
        )


def _rebuild_summaries(database: Database, jobs: Path) -> None:
    """Read again from the reports what the rows of earlier versions lack."""
    for job in database.all():
        results = jobs / job.id / folders.RESULTS
        if job.state is State.DONE and (report := outcomes.read_report(results)):
            summary = files.summarize(job.id, results, report.outcome)
            folders.write_record(jobs / job.id, job.model_copy(update={"summary": summary}))
            database.change("id = ?", "summary = ?", summary.model_dump_json(), job.id)


def _queue_interrupted(database: Database, jobs: Path, max_crashes: int) -> None:
    changes = "state = ?, started = NULL, lost = lost + 1"
    database.change("state = ?", changes, State.QUEUED, State.RUNNING)
    error = _CRASHED.format(times=max_crashes)
    for job in list(database.queued(lost=max_crashes)):
        failed = job.model_copy(update={"state": State.FAILED, "finished": now(), "error": error})
        if (jobs / job.id).is_dir():
            # So that the job is not started again if the database is lost, and the count with it.
            folders.write_record(jobs / job.id, failed)
        changes = "state = ?, finished = ?, error = ?"
        database.change("id = ?", changes, failed.state, failed.finished, error, job.id)


def _fail_without_upload(database: Database, jobs: Path) -> None:
    for job in list(database.queued()):
        if not (jobs / job.id / folders.INPUT).exists():
            changes = "state = ?, finished = ?, error = ?"
            database.change("id = ?", changes, State.FAILED, now(), _INPUT_MISSING, job.id)


def _compare(folder: Path, known: Job | None, *, may_be_lost: bool) -> list[Job]:
    """Return the job that a folder contains if the row is missing or wrong, or nothing.

    Args:
        folder: of the job.
        known: job of the row, if there is one.
        may_be_lost: whether rows may have been lost.
    """
    has_results = (folder / folders.RESULTS).is_dir()
    if known is None or known.state is State.DAMAGED:
        is_job = folders.has_more_than_upload(folder)
        if known is None and not is_job and not (may_be_lost and _has_upload(folder)):
            folders.remove(folder)  # an aborted upload
            return []
        recovered = read_job(folder)
        if recovered is None:
            _log.error("%s: cannot be recovered; left as it is", folder)
            return []
        if known and recovered.state is State.DAMAGED:
            return []  # the row says the same
        return [recovered]
    if has_results and known.state is not State.DONE:
        # Killed in between, an old copy of the database, or results that came back.
        recovered = read_job(folder)
        if recovered and recovered.state is State.DONE:
            return [recovered]
    folders.tidy(folder, known.state)
    if known.state is not State.CANCELLED and not (folder / folders.RECORD).exists():
        folders.write_record(folder, known)  # of a version without such files
    return []


def read_job(folder: Path) -> Job | None:
    """Return the job that a folder contains; ``None`` if it has neither upload nor results.

    Results without a readable report make a damaged job, because they may contain a review.
    """
    record, results = folders.read_record(folder), folder / folders.RESULTS
    if record and record.summary and results.is_dir():
        urls = files.links(folder.name, results, record.summary.suspect)
        summary = record.summary.model_copy(update={"links": urls})
        return record.model_copy(update={"summary": summary})
    if report := outcomes.read_report(results):
        return _from_report(report, folder, record)
    if results.is_dir() and (record is None or record.state is State.DONE):
        return _from_damaged_results(folder)
    if not _has_upload(folder):
        return None
    if record and record.state is State.DONE:
        changes = {"state": State.FAILED, "summary": None, "error": _RESULTS_LOST}
        return record.model_copy(update=changes)
    return record or _from_upload(folder)


def _from_upload(folder: Path) -> Job:
    return Job(
        id=folder.name,
        name=_UNNAMED,
        state=State.QUEUED,
        bytes=(folder / folders.INPUT).stat().st_size,
        every=EXAMINE_EVERY,
        trust=True,
        created=_time(folder / folders.INPUT),
    )


def _from_report(report: SavedReport, folder: Path, record: Job | None) -> Job:
    results = folder / folders.RESULTS
    time = _time(results)
    return Job(
        id=folder.name,
        name=record.name if record else report.provenance.input_name,
        state=State.DONE,
        bytes=report.provenance.input_bytes,
        every=record.every if record else report.settings.every,
        trust=record.trust if record else report.settings.trust,
        created=record.created if record else time,
        finished=time,
        attempts=1,
        summary=files.summarize(folder.name, results, report.outcome),
    )


def _from_damaged_results(folder: Path) -> Job:
    upload = folder / folders.INPUT
    return Job(
        id=folder.name,
        name=_UNNAMED_RESULTS,
        state=State.DAMAGED,
        bytes=upload.stat().st_size if _has_upload(folder) else 0,
        every=EXAMINE_EVERY,
        trust=True,
        created=_time(folder / folders.RESULTS),
        error=_REPORT_DAMAGED,
    )


def _has_upload(folder: Path) -> bool:
    upload = folder / folders.INPUT
    return upload.is_file() and upload.stat().st_size > 0


def _time(path: Path) -> str:
    """Return when a path was changed."""
    return format_time(datetime.fromtimestamp(path.stat().st_mtime, UTC))
