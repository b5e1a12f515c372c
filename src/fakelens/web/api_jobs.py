"""The REST API of jobs: uploads, the queue, and what is told of it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from fakelens.records.settings import EXAMINE_EVERY
from fakelens.web import uploads
from fakelens.web.dependencies import UNKNOWN, KnownJob, TheQueue, problems
from fakelens.web.messages import Every
from fakelens.web.problems import ProblemError
from fakelens.web.schemas import Job, JobList, State
from fakelens.web.store import now

_DEFAULT_PAGE, _LARGEST_PAGE, _FARTHEST = 50, 200, 10**9

router = APIRouter()


@router.post(
    "/jobs",
    tags=["jobs"],
    operation_id="upload",
    response_description="It is in the queue.",
    status_code=201,
    responses=problems(
        s400="The body is empty.",
        s408="Nothing arrived for too long.",
        s413="The upload is larger than this server takes.",
        s422="A parameter is malformed.",
        s429="The queue is full.",
        s507="The upload cannot be stored.",
    ),
    openapi_extra={
        "requestBody": {
            "description": "The video or picture itself.",
            "required": True,
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary", "minLength": 1}
                }
            },
        }
    },
)
async def upload(
    request: Request,
    response: Response,
    queue: TheQueue,
    name: Annotated[
        str, Query(max_length=1000, description="of the file; for people to read only")
    ] = "",
    every: Annotated[
        Every, Query(description="examine every n-th frame; auto: about five a second")
    ] = EXAMINE_EVERY,
    trust: Annotated[
        bool, Query(description="measure how far scores and heatmaps can be trusted")
    ] = True,
) -> Job:
    """Upload a video or picture and have it examined."""
    with queue.room() as there_is_room:
        if not there_is_room:
            raise ProblemError(
                429,
                f"the queue is full ({queue.limits.queue} wait or arrive): try again later",
            )
        job_id = queue.store.make_folder()
        try:
            size = await uploads.receive(
                request,
                queue.store.input(job_id),
                queue.limits.upload_bytes,
                queue.limits.idle_seconds,
            )
            job = Job(
                id=job_id,
                name=uploads.clean_name(name),
                state=State.QUEUED,
                bytes=size,
                every=every,
                trust=trust,
                created=now(),
            )
            queue.add(job)
        except BaseException:
            queue.store.abandon(job_id)
            raise
    response.headers["Location"] = f"/api/jobs/{job_id}"
    return queue.find(job_id) or job


@router.get(
    "/jobs",
    tags=["jobs"],
    operation_id="listJobs",
    response_description="Some jobs.",
    responses=problems(s422="A parameter is malformed."),
)
async def list_jobs(
    queue: TheQueue,
    limit: Annotated[int, Query(ge=1, le=_LARGEST_PAGE)] = _DEFAULT_PAGE,
    offset: Annotated[int, Query(ge=0, le=_FARTHEST)] = 0,
) -> JobList:
    """All jobs, newest first, some at a time."""
    return JobList(total=queue.store.count(), jobs=queue.newest(limit, offset))


@router.get(
    "/jobs/{job_id}",
    tags=["jobs"],
    operation_id="getJob",
    response_description="The job.",
    responses=UNKNOWN,
)
async def get_job(job: KnownJob) -> Job:
    """One job."""
    return job


@router.get(
    "/jobs/{job_id}/events",
    tags=["events"],
    operation_id="followJob",
    response_description="Its events.",
    response_class=EventSourceResponse,
    responses=UNKNOWN,
)
async def follow_job(job: KnownJob, queue: TheQueue) -> AsyncIterator[ServerSentEvent]:
    """Follow a job until it is over; each event is the job, named "job", or "deleted"."""
    with queue.subscribed() as changes:
        while True:
            found = queue.find(job.id)  # again: it may have changed before we listened
            yield _event(job.id, found)
            if found is None or found.state.is_over:
                return
            changed: tuple[str, ...] = ()
            while job.id not in changed:
                changed = await changes.news()
                if not changed:
                    return


@router.get(
    "/events",
    tags=["events"],
    operation_id="followAll",
    response_description="Events, without an end.",
    response_class=EventSourceResponse,
)
async def follow_all(queue: TheQueue) -> AsyncIterator[ServerSentEvent]:
    """Follow all jobs from now on; events as for one job, and comments to keep it open."""
    with queue.subscribed() as changes:
        yield ServerSentEvent(comment="listening")
        while changed := await changes.news():
            for job_id in changed:
                yield _event(job_id, queue.find(job_id))


def _event(job_id: str, job: Job | None) -> ServerSentEvent:
    if job is None:
        return ServerSentEvent(data={"id": job_id}, event="deleted")
    return ServerSentEvent(data=job, event="job")


@router.post(
    "/jobs/{job_id}/cancel",
    tags=["jobs"],
    operation_id="cancel",
    response_description="The job as it is now.",
    responses=UNKNOWN | problems(s409="It is over already."),
)
async def cancel(job: KnownJob, queue: TheQueue) -> Job:
    """Stop a job that waits or is at work; its upload and what was made of it are deleted."""
    if job.state.is_over:
        raise ProblemError(409, f"there is nothing to cancel: this job is {job.state}")
    await queue.cancel(job.id)
    return queue.find(job.id) or job


@router.post(
    "/jobs/{job_id}/retry",
    tags=["jobs"],
    operation_id="retry",
    response_description="The job as it is now.",
    responses=UNKNOWN | problems(s409="It did not fail."),
)
async def retry(job: KnownJob, queue: TheQueue) -> Job:
    """Run a job that failed again."""
    if job.state is State.CANCELLED:
        raise ProblemError(
            409, "this job was cancelled and its upload deleted: upload the file again"
        )
    if job.state is not State.FAILED:
        raise ProblemError(
            409, f"only jobs that failed can be run again, and this one is {job.state}"
        )
    queue.retry(job.id)
    return queue.find(job.id) or job


@router.delete(
    "/jobs/{job_id}",
    tags=["jobs"],
    operation_id="delete",
    response_description="It is gone.",
    status_code=204,
    responses=UNKNOWN,
)
async def delete(job: KnownJob, queue: TheQueue) -> None:
    """Delete a job, its upload, its results and its review; if it is at work, stop it first."""
    await queue.delete(job.id)
