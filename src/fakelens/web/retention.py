"""Retention: delete the jobs that ended long ago."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fakelens.web import reviews
from fakelens.web.database import format_time
from fakelens.web.examiner.files import CASE
from fakelens.web.queue import Queue
from fakelens.web.schemas import State
from fakelens.web.store import STORAGE_ERRORS, Store

_log = logging.getLogger("fakelens.web")
_INTERVAL = 3600.0  # seconds between two searches for old jobs


@contextlib.asynccontextmanager
async def deleting_old_jobs(queue: Queue) -> AsyncIterator[None]:
    """Delete old jobs now and once an hour, if the limits say so."""
    task = asyncio.create_task(_delete_repeatedly(queue, queue.limits.keep_days))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _delete_repeatedly(queue: Queue, days: int | None) -> None:
    while days is not None:
        try:
            await delete_older(queue, datetime.now(UTC) - timedelta(days=days))
        except STORAGE_ERRORS:
            _log.exception("old jobs cannot be deleted; trying again later")
        await asyncio.sleep(_INTERVAL)


async def delete_older(queue: Queue, time: datetime) -> None:
    """Delete the jobs that ended, and whose reviews and case file were saved, before a time.

    Damaged jobs stay: their files may only be missing for now. So do those whose reviews
    cannot be read.
    """
    for job in queue.store.ended_before(time):
        try:
            if _is_old(queue.store, job.id, time):
                await queue.delete(job.id)
        except (*STORAGE_ERRORS, ValueError):
            _log.exception("job %s is old but cannot be deleted; trying again later", job.id)


def _is_old(store: Store, job: str, time: datetime) -> bool:
    """Return whether a job may be deleted now: it may have been run again since it was listed.

    Raises:
        OSError: a review cannot be read.
        ValueError: a review was saved on a day that does not exist.
    """
    found = store.find(job)
    if found is None or not found.state.is_over or found.state is State.DAMAGED:
        return False
    if found.finished is None or found.finished >= format_time(time):
        return False
    results = store.results(job)
    saved = [datetime.fromisoformat(review.saved) for review in reviews.read_all(results)]
    case = results / CASE
    if case.exists():
        saved.append(datetime.fromtimestamp(case.stat().st_mtime, UTC))
    return all(moment < time for moment in saved)
