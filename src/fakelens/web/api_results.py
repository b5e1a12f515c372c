"""The REST API of results: the report, its files, a zip archive and the reviews."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, StreamingResponse

from fakelens.report.review import Review
from fakelens.web import bundle, files, outcomes, reviews
from fakelens.web.dependencies import NO_RESULTS, NOT_FOUND, DoneJob, QueueDep, problems
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import Job

router = APIRouter()


@router.get(
    "/jobs/{job_id}/report",
    tags=["results"],
    operation_id="report",
    response_class=FileResponse,
    responses=NOT_FOUND
    | NO_RESULTS
    | {200: {"description": "report.json", "content": {"application/json": {}}}},
)
async def report(job: DoneJob, queue: QueueDep) -> FileResponse:
    """Return report.json, the full report."""
    return result(queue, job, files.REPORT)


@router.get(
    "/jobs/{job_id}/files/{name:path}",
    tags=["results"],
    operation_id="file",
    response_class=FileResponse,
    responses=NOT_FOUND
    | NO_RESULTS
    | {
        200: {"description": "The file.", "content": {kind: {} for kind in files.TYPES}},
        206: {
            "description": "The requested range.",
            "content": {kind: {} for kind in (*files.TYPES, "multipart/byteranges")},
        },
        400: {"description": "The range is malformed.", "content": {"text/plain": {}}},
        416: {"description": "The range is outside the file.", "content": {"text/plain": {}}},
    },
)
async def file(
    job: DoneJob,
    queue: QueueDep,
    name: Annotated[str, Path(pattern=files.NAME, description="name of the file")],
) -> FileResponse:
    """Return one file of the results, or a part of it if a Range header is sent."""
    return result(queue, job, name)


def result(queue: Queue, job: Job, name: str) -> FileResponse:
    """Return the response for one file of a job's results.

    Raises:
        ProblemError: the results contain no such file.
    """
    kind, path = files.media_type(name), queue.store.results(job.id) / name
    if kind is None or not path.is_file():
        raise ProblemError(404, "the results contain no such file")
    # The page cannot run under the API's content security policy; it can under "/results".
    disposition = "attachment" if name == files.PAGE else "inline"
    return FileResponse(
        path, media_type=kind, filename=path.name, content_disposition_type=disposition
    )


@router.get(
    "/jobs/{job_id}/thumbnail",
    tags=["results"],
    operation_id="thumbnail",
    response_class=FileResponse,
    responses=NOT_FOUND
    | NO_RESULTS
    | {200: {"description": "The picture.", "content": {"image/jpeg": {}, "image/png": {}}}}
    | problems(s404="There is no such job, or it has no picture."),
)
async def thumbnail(job: DoneJob, queue: QueueDep) -> FileResponse:
    """Return a small picture of the most suspicious person: the face, without and with heatmap."""
    path = queue.store.thumbnail(job.id)
    if path.is_file():
        return FileResponse(path, media_type="image/jpeg")
    suspect = job.summary.suspect if job.summary else None
    portrait = outcomes.portrait(queue.store.results(job.id), suspect or 0)
    if not portrait.is_file():
        raise ProblemError(404, "there is no picture of a person in these results")
    return FileResponse(portrait, media_type="image/png")


@router.get(
    "/jobs/{job_id}/bundle",
    tags=["results"],
    operation_id="bundle",
    response_class=StreamingResponse,
    responses=NOT_FOUND
    | NO_RESULTS
    | {200: {"description": "The archive.", "content": {"application/zip": {}}}},
)
async def get_bundle(job: DoneJob, queue: QueueDep) -> StreamingResponse:
    """Return all results as a zip archive, with the reviews in the page and as files."""
    results = queue.store.results(job.id)
    stem = bundle.safe_stem(job.name)
    return StreamingResponse(
        bundle.stream(results, stem, reviews.read_all(results)),
        media_type="application/zip",
        headers={"Content-Disposition": bundle.content_disposition(f"{stem}.zip")},
    )


@router.get(
    "/jobs/{job_id}/reviews",
    tags=["results"],
    operation_id="getReviews",
    response_description="The reviews, the one saved last at the end.",
    responses=NOT_FOUND | NO_RESULTS,
)
async def get_reviews(job: DoneJob, queue: QueueDep) -> tuple[Review, ...]:
    """Return the reviews of the video by all reviewers."""
    return reviews.read_all(queue.store.results(job.id))


@router.get(
    "/jobs/{job_id}/review",
    tags=["results"],
    operation_id="getReview",
    response_description="The review.",
    responses=NOT_FOUND | NO_RESULTS | problems(s404="There is no such job or no review."),
)
async def get_review(job: DoneJob, queue: QueueDep) -> Review:
    """Return the review of the video that was saved last."""
    found = reviews.read_all(queue.store.results(job.id))
    if not found:
        raise ProblemError(404, "nobody has reviewed this video yet")
    return found[-1]


@router.put(
    "/jobs/{job_id}/review",
    tags=["results"],
    operation_id="putReview",
    response_description="The saved review.",
    responses=NOT_FOUND
    | problems(
        s400="The body cannot be read.",
        s409="The job has no results, or the review is of another video, was not made from the "
        "saved revision, or changes what was closed when the result was revealed, or the job has "
        "too many reviews.",
        s413="The review is too large.",
    ),
)
async def put_review(job: DoneJob, queue: QueueDep, review: Review) -> Review:
    """Save a review in place of the one of the same id, from whose revision it was made.

    Each reviewer has a review of their own: its id is 32 random hexadecimal digits. The server
    counts the revisions and sets the times. Once the result has been revealed, only the notes can
    change.
    """
    results = queue.store.results(job.id)
    sha256 = job.summary.video_sha256 if job.summary else None
    found = reviews.read_all(results)
    if conflict := reviews.find_conflict(found, sha256, review):
        raise ProblemError(409, conflict)
    written = reviews.write(results, reviews.find(found, review.id), review)
    queue.report_review(job.id)
    return written
