"""Retention: delete the jobs that ended long ago."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fakelens.web.queue import Queue
from fakelens.web.schemas import Job, State
from fakelens.web.store import STORAGE_ERRORS

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
    """Delete the jobs that ended, and whose review was last saved, before a time in UTC.

    Damaged jobs stay: their files may only be missing for now.
    """
    for job in queue.store.ended_before(time):
        if job.state is not State.DAMAGED and not _is_reviewed_since(job, time):
            await queue.delete(job.id)


def _is_reviewed_since(job: Job, time: datetime) -> bool:
    return job.review is not None and datetime.fromisoformat(job.review.saved) >= time
