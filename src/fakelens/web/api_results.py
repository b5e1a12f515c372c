"""The REST API of results: the report, its files, all of them at once, and the review."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, StreamingResponse

from fakelens.report.review import Review
from fakelens.web import bundle, files, reviews
from fakelens.web.dependencies import NO_RESULTS, UNKNOWN, DoneJob, TheQueue, problems
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import Job

router = APIRouter()


@router.get(
    "/jobs/{job_id}/report",
    tags=["results"],
    operation_id="report",
    response_class=FileResponse,
    responses=UNKNOWN
    | NO_RESULTS
    | {200: {"description": "report.json", "content": {"application/json": {}}}},
)
async def report(job: DoneJob, queue: TheQueue) -> FileResponse:
    """The whole report, for programs."""
    return result(queue, job, files.REPORT)


@router.get(
    "/jobs/{job_id}/files/{name:path}",
    tags=["results"],
    operation_id="file",
    response_class=FileResponse,
    responses=UNKNOWN
    | NO_RESULTS
    | {
        200: {"description": "The file.", "content": {kind: {} for kind in files.TYPES}},
        206: {
            "description": "The range that was asked for.",
            "content": {kind: {} for kind in (*files.TYPES, "multipart/byteranges")},
        },
        400: {"description": "The range is malformed.", "content": {"text/plain": {}}},
        416: {"description": "The range lies outside.", "content": {"text/plain": {}}},
    },
)
async def file(
    job: DoneJob,
    queue: TheQueue,
    name: Annotated[str, Path(pattern=files.NAME, description="of a result")],
) -> FileResponse:
    """One file of the results; a part of it with the header Range."""
    return result(queue, job, name)


def result(queue: Queue, job: Job, name: str) -> FileResponse:
    """A file of the results.

    Raises:
        ProblemError: results have no such file, or these have not.
    """
    kind, path = files.media_type(name), queue.store.results(job.id) / name
    if kind is None or not path.is_file():
        raise ProblemError(404, "there is no such file among the results")
    # Opened from here the page could not run; that of "/results" can, and keeps reviews.
    way = "attachment" if name == files.PAGE else "inline"
    return FileResponse(path, media_type=kind, filename=path.name, content_disposition_type=way)


@router.get(
    "/jobs/{job_id}/bundle",
    tags=["results"],
    operation_id="bundle",
    response_class=StreamingResponse,
    responses=UNKNOWN
    | NO_RESULTS
    | {200: {"description": "The archive.", "content": {"application/zip": {}}}},
)
async def bundle_(job: DoneJob, queue: TheQueue) -> StreamingResponse:
    """All results as a zip archive, with the review in the page and beside it."""
    results = queue.store.results(job.id)
    stem = bundle.safe_stem(job.name)
    return StreamingResponse(
        bundle.stream(results, stem, reviews.read(results)),
        media_type="application/zip",
        headers={"Content-Disposition": bundle.disposition(f"{stem}.zip")},
    )


@router.get(
    "/jobs/{job_id}/review",
    tags=["results"],
    operation_id="getReview",
    response_description="The review.",
    responses=UNKNOWN | NO_RESULTS | problems(s404="There is no such job, or no review."),
)
async def get_review(job: DoneJob, queue: TheQueue) -> Review:
    """What a person made of the video."""
    review = reviews.read(queue.store.results(job.id))
    if review is None:
        raise ProblemError(404, "nobody has reviewed this video yet")
    return review


@router.put(
    "/jobs/{job_id}/review",
    tags=["results"],
    operation_id="putReview",
    response_description="The review, as kept.",
    responses=UNKNOWN
    | problems(
        s400="The body cannot be read.",
        s409="The job has no results, the review is of another video, or changes what was said "
        "before the answer was uncovered.",
        s413="The review is too large.",
    ),
)
async def put_review(job: DoneJob, queue: TheQueue, review: Review) -> Review:
    """Keep a review in place of the one before.

    What was said blind stays as it is once the machine's answer has been uncovered.
    """
    results = queue.store.results(job.id)
    sha256 = job.summary.video_sha256 if job.summary else None
    if objection := reviews.objection(results, sha256, review):
        raise ProblemError(409, objection)
    reviews.write(results, review)
    return review
