"""Admission of new jobs: what is to be analysed is stored within all limits, and queued."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path

from fakelens.web.database import now
from fakelens.web.messages import Every
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import Job, State
from fakelens.web.uploads import clean_name

Receive = Callable[[Path, int], Awaitable[int]]
"""Writes an upload to a path, at most so many bytes, and returns its size in bytes."""


async def admit(
    queue: Queue, receive: Receive, announced: int | None, name: str, every: Every, *, trust: bool
) -> Job:
    """Store an upload and queue it.

    Args:
        queue: of the server.
        receive: writes the upload.
        announced: size of the upload in bytes, if known before.
        name: of the upload, for display.
        every: as of the job.
        trust: as of the job.

    Raises:
        ProblemError: the queue is full, or the upload cannot be stored or exceeds a limit.
    """
    with queue.reserve_place() as has_place:
        if not has_place:
            raise ProblemError(
                429,
                f"the queue is full (limit {queue.limits.queue}, including uploads in progress): "
                "try again later",
            )
        job_id = queue.store.make_folder()
        try:
            size = await _store(queue, job_id, receive, announced)
            job = Job(
                id=job_id,
                name=clean_name(name),
                state=State.QUEUED,
                bytes=size,
                every=every,
                trust=trust,
                created=now(),
            )
            queue.add(job)
        except BaseException:
            queue.store.discard_folder(job_id)
            raise
    return queue.find(job_id) or job


async def _store(queue: Queue, job: str, receive: Receive, announced: int | None) -> int:
    """Store an upload within the limits, and return its size in bytes."""
    most = queue.limits.upload_bytes
    async with queue.quota.reserve(job, announced, most) as room:
        try:
            return await receive(queue.store.input(job), room)
        except ProblemError as error:
            is_allowed = room < most and (announced or 0) <= most
            if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and is_allowed:
                raise queue.quota.error() from error
            raise
