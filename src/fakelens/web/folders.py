"""The folders of the jobs, and the files in them.

::

    FOLDER/jobs/ID/input          the upload
    FOLDER/jobs/ID/job.json       the job, to rebuild a lost database from
    FOLDER/jobs/ID/thumbnail.jpg  the face of the most suspicious person
    FOLDER/jobs/ID/unfinished     what the worker has written so far
    FOLDER/jobs/ID/results        the files that ``save_report`` wrote, the reviews, CASE.toml and
                                  the examiner's report
    FOLDER/jobs/ID/results.earlier  results that came back while the job was run again

``results`` is complete if it exists: it is the folder ``unfinished``, renamed by the server. It may
contain people's reviews, so it is deleted with the job only.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Collection
from itertools import count
from pathlib import Path
from string import hexdigits

from pydantic import ValidationError

from fakelens.web.schemas import Job, State

INPUT, RECORD, THUMBNAIL, UNFINISHED, RESULTS = (
    *("input", "job.json", "thumbnail.jpg"),
    *("unfinished", "results"),
)
DELETED = ".gone"
"""Suffix of the folder of a job that is being deleted."""

_ID_BYTES = 16
_NOT_RECORDED = {"stage", "frames_done", "frames_total", "eta", "reviews"}
_KEPT_FILES = {
    State.QUEUED: {INPUT, RECORD},
    State.FAILED: {INPUT, RECORD},
    State.DONE: {INPUT, RECORD, THUMBNAIL},
    State.CANCELLED: set[str](),
}


def make(jobs: Path) -> str:
    """Create the folder of a new job.

    Returns:
        The job's id.
    """
    job = secrets.token_hex(_ID_BYTES)
    (jobs / job).mkdir(mode=0o700)
    return job


def is_job(name: str) -> bool:
    """Return whether this is the name of a job's folder: an id."""
    return len(name) == _ID_BYTES * 2 and set(name) <= set(hexdigits.lower())


def mark_deleted(folder: Path) -> Path:
    """Rename a folder, so that it is deleted even if the server is killed meanwhile.

    Returns:
        The new path, to be deleted with ``remove``, which can take a while.
    """
    deleted = folder.with_name(folder.name + DELETED)
    if folder.exists():
        folder.rename(deleted)
    return deleted


def tidy(folder: Path, state: State) -> None:
    """Delete the files that a job in this state does not need, but never results."""
    kept = _KEPT_FILES[state]
    for path in folder.iterdir() if folder.exists() else ():
        if path.name not in kept and not path.name.startswith(RESULTS):
            remove(path)
    if not kept:
        with contextlib.suppress(OSError):  # there are results, or no folder
            folder.rmdir()


def set_aside(results: Path) -> Path | None:
    """Rename the results if they exist, to make room for those of a new run.

    Returns:
        The new path, or ``None`` if there are no results.
    """
    if not results.exists():
        return None
    names = (f"{RESULTS}.earlier{f'-{number}' if number > 1 else ''}" for number in count(1))
    free = next(path for name in names if not (path := results.with_name(name)).exists())
    return results.rename(free)


def has_more_than_upload(folder: Path) -> bool:
    """Return whether a folder has a record or results, readable or not.

    If not, it belongs to an upload whose job was never added.
    """
    names = [path.name for path in folder.iterdir()]
    return any(name == RECORD or name.startswith(RESULTS) for name in names)


def remove(path: Path) -> None:
    """Delete a file or a folder if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_record(folder: Path, job: Job) -> None:
    """Write ``job.json``."""
    write_durably(folder / RECORD, job.model_dump_json(exclude=_NOT_RECORDED))


def read_record(folder: Path) -> Job | None:
    """Read ``job.json``; ``None`` if it does not exist or is damaged."""
    try:
        job = Job.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    return job.model_copy(update={"id": folder.name})  # the folder may be a copy


def write_durably(path: Path, content: str | bytes) -> None:
    """Replace a file atomically: after a crash or power failure it is either old or new."""
    unfinished = path.with_name(f".{path.name}.partial")
    try:
        with unfinished.open("wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def disk_usage(jobs: Path, *, without: Collection[str] = ()) -> int:
    """Return the size of all files in bytes; a file with several names counts once.

    Args:
        jobs: folder of the jobs.
        without: names of folders in it to leave out.
    """
    sizes = {}
    for folder, folders, names in os.walk(jobs):
        if Path(folder) == jobs:
            folders[:] = [name for name in folders if name not in without]
        for name in names:
            try:
                status = Path(folder, name).lstat()
            except OSError:
                continue  # deleted meanwhile
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
