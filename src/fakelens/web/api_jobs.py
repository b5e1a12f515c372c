"""The REST API of jobs: uploads, the queue and its events."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from fakelens.records.settings import EXAMINE_EVERY
from fakelens.web import example, uploads
from fakelens.web.admission import admit
from fakelens.web.dependencies import NOT_FOUND, ExampleDep, KnownJob, QueueDep, problems
from fakelens.web.listing import Listing, Sort
from fakelens.web.messages import Every
from fakelens.web.problems import ProblemError
from fakelens.web.schemas import Job, JobList, State

_DEFAULT_LIMIT, _MAX_LIMIT, _MAX_OFFSET = 50, 200, 10**9

router = APIRouter()


@router.post(
    "/jobs",
    tags=["jobs"],
    operation_id="upload",
    response_description="The job was queued.",
    status_code=201,
    responses=problems(
        s400="The body is empty, or its length is announced in two ways.",
        s408="No data arrived for too long.",
        s413="The upload is larger than this server accepts.",
        s422="A parameter is malformed.",
        s429="The queue is full.",
        s507="The upload cannot be stored, or exceeds the storage quota.",
    ),
    openapi_extra={
        "requestBody": {
            "description": "The video or picture.",
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
    queue: QueueDep,
    name: Annotated[
        str, Query(max_length=1000, description="file name, used for display only")
    ] = "",
    every: Annotated[
        Every, Query(description="examine every n-th frame; auto: about five frames per second")
    ] = EXAMINE_EVERY,
    trust: Annotated[
        bool, Query(description="measure how reliable scores and heatmaps are")
    ] = True,
) -> Job:
    """Upload a video or picture and queue it for analysis."""
    announced = request.headers.get("content-length")

    def receive(path: Path, room: int) -> Awaitable[int]:
        return uploads.receive(request, path, room, queue.limits.idle_seconds)

    size = None if announced is None else int(announced)
    job = await admit(queue, receive, size, name, every, trust=trust)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job


@router.post(
    "/example",
    tags=["jobs"],
    operation_id="tryExample",
    response_description="The job was queued.",
    status_code=201,
    responses=problems(
        s413="The clip is larger than this server accepts.",
        s429="The queue is full.",
        s501="The packages that contain the portraits are not installed.",
        s507="The clip cannot be stored, or exceeds the storage quota.",
    ),
)
async def try_example(response: Response, queue: QueueDep, clip: ExampleDep) -> Job:
    """Queue a clip of two people that the server makes; person 2 has a planted forgery."""
    data = await clip.read()

    def store(path: Path, room: int) -> Awaitable[int]:
        return uploads.store(data, path, room)

    job = await admit(queue, store, len(data), example.NAME, EXAMINE_EVERY, trust=True)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return job


@router.get(
    "/jobs",
    tags=["jobs"],
    operation_id="listJobs",
    response_description="A page of jobs.",
    responses=problems(s422="A parameter is malformed."),
)
async def list_jobs(
    queue: QueueDep,
    limit: Annotated[
        int, Query(ge=1, le=_MAX_LIMIT, description="number of jobs to return")
    ] = _DEFAULT_LIMIT,
    offset: Annotated[int, Query(ge=0, le=_MAX_OFFSET, description="number of jobs to skip")] = 0,
    query: Annotated[
        str,
        Query(max_length=1000, description="text to find in names, verdicts and SHA-256"),
    ] = "",
    sort: Annotated[
        Sort, Query(description="order; suspicious: by verdict, then by score")
    ] = Sort.NEWEST,
    blind: Annotated[bool, Query(description="do not search verdicts, for a blind review")] = False,
) -> JobList:
    """List jobs, or those whose name, verdicts or SHA-256 contain a text."""
    return queue.page(Listing(limit, offset, query, sort, blind))


@router.get(
    "/jobs/{job_id}",
    tags=["jobs"],
    operation_id="getJob",
    response_description="The job.",
    responses=NOT_FOUND,
)
async def get_job(job: KnownJob) -> Job:
    """Return a job."""
    return job


@router.get(
    "/jobs/{job_id}/events",
    tags=["events"],
    operation_id="followJob",
    response_description="Events of the job.",
    response_class=EventSourceResponse,
    responses=NOT_FOUND,
)
async def follow_job(job: KnownJob, queue: QueueDep) -> AsyncIterator[ServerSentEvent]:
    """Follow a job until it ends. Each event is named "job" and contains it, or "deleted"."""
    with queue.subscribe() as changes:
        while True:
            found = queue.find(job.id)  # again: it may have changed before the subscription
            yield _event(job.id, found)
            if found is None or found.state.is_over:
                return
            changed: tuple[str, ...] = ()
            while job.id not in changed:
                changed = await changes.wait()
                if not changed:
                    return


@router.get(
    "/events",
    tags=["events"],
    operation_id="followAll",
    response_description="Events of all jobs, without an end.",
    response_class=EventSourceResponse,
)
async def follow_all(queue: QueueDep) -> AsyncIterator[ServerSentEvent]:
    """Follow all jobs from now on. Events are those of one job, with comments to stay connected."""
    with queue.subscribe() as changes:
        yield ServerSentEvent(comment="listening")
        while changed := await changes.wait():
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
    response_description="The job in its new state.",
    responses=NOT_FOUND | problems(s409="The job has already ended."),
)
async def cancel(job: KnownJob, queue: QueueDep) -> Job:
    """Cancel a queued or running job and delete its files, including the upload."""
    if job.state.is_over:
        raise ProblemError(
            409, f"only queued or running jobs can be cancelled; this one is {job.state}"
        )
    await queue.cancel(job.id)
    return queue.find(job.id) or job


@router.post(
    "/jobs/{job_id}/retry",
    tags=["jobs"],
    operation_id="retry",
    response_description="The job in its new state.",
    responses=NOT_FOUND | problems(s409="The job did not fail, or its upload is missing."),
)
async def retry(job: KnownJob, queue: QueueDep) -> Job:
    """Run a failed job again, or one whose results are missing."""
    if job.state is State.CANCELLED:
        raise ProblemError(
            409, "this job was cancelled and its upload was deleted; upload the file again"
        )
    if job.state not in (State.FAILED, State.DAMAGED):
        raise ProblemError(409, f"only failed jobs can be run again; this one is {job.state}")
    if not queue.store.input(job.id).is_file():
        raise ProblemError(
            409, "the upload of this job is no longer on the server's disk; upload the file again"
        )
    queue.retry(job.id)
    return queue.find(job.id) or job


@router.delete(
    "/jobs/{job_id}",
    tags=["jobs"],
    operation_id="delete",
    response_description="The job was deleted.",
    status_code=204,
    responses=NOT_FOUND,
)
async def delete(job: KnownJob, queue: QueueDep) -> None:
    """Delete a job with its upload, results and review. A running job is stopped first."""
    await queue.delete(job.id)
