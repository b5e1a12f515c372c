"""The objects that the API returns."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fakelens.report.review import Opinion
from fakelens.web.messages import Every, Message, PersonSummary, Stage

JOB_ID = r"^[0-9a-f]{32}$"

Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(description="ISO 8601, UTC")]


class State(StrEnum):
    """State of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DAMAGED = "damaged"  # the row or the report cannot be read, or the results are missing

    @property
    def is_over(self) -> bool:
        """Whether the job has ended; it changes only on request."""
        return self not in (State.QUEUED, State.RUNNING)


class Links(Message):
    """URLs of a job's results on this server."""

    page: Annotated[str, Field(description="report page, to open in a browser")]
    report: str
    bundle: Annotated[str, Field(description="all results as a zip archive")]
    review: str
    thumbnail: Annotated[
        str | None, Field(description="face of the most suspicious person, with its heatmap")
    ] = None
    files: Annotated[tuple[str, ...], Field(description="all files of the results")]


class Summary(Message):
    """The outcome of a finished job."""

    video_sha256: Annotated[str, Field(description="SHA-256 of the upload")]
    faces_found: Annotated[bool, Field(description="false: no face was found")]
    persons: Annotated[tuple[PersonSummary, ...], Field(description="the most suspicious first")]
    suspect: Annotated[int | None, Field(description="most suspicious person with a score")] = None
    error_rates: Annotated[
        str, Field(description="how often the model was wrong on labelled clips")
    ] = ""
    links: Links


class ReviewNote(Message):
    """What the list of jobs shows of a review."""

    reviewer: str
    opinion: Opinion
    blind: Annotated[bool, Field(description="marked before the page showed the result")]
    revealed: Annotated[bool, Field(description="closed, because the result was revealed")]
    saved: Time


class Job(Message):
    """An upload and its analysis."""

    id: Annotated[str, Field(pattern=JOB_ID)]
    name: Annotated[str, Field(description="file name, cleaned up, for display")]
    state: State
    bytes: Annotated[Count, Field(description="size of the upload")]
    every: Every
    trust: bool
    created: Time
    started: Time | None = None
    finished: Time | None = None
    stage: Annotated[Stage | None, Field(description="while the job is running")] = None
    frames_done: Annotated[Count, Field(description="frames done in this stage")] = 0
    frames_total: Annotated[Count | None, Field(description="frames in this stage, if known")] = (
        None
    )
    eta: Annotated[
        float | None, Field(ge=0, description="estimated seconds left in this stage")
    ] = None
    error: Annotated[
        str | None, Field(description="why the job failed or what is damaged, in a sentence")
    ] = None
    attempts: Annotated[Count, Field(description="how often the job was started")] = 0
    summary: Summary | None = None
    reviews: Annotated[
        tuple[ReviewNote, ...], Field(description="of the video, the one saved last at the end")
    ] = ()


class JobList(Message):
    """A page of jobs."""

    total: Annotated[Count, Field(description="number of jobs on all pages")]
    jobs: tuple[Job, ...]


class HealthLimits(Message):
    """Limits of this server."""

    upload_bytes: Annotated[int, Field(description="largest upload")]
    minutes: Annotated[int, Field(description="longest video")]
    pixels: Annotated[int, Field(description="largest frame")]
    queue: Annotated[int, Field(description="most queued jobs")]
    workers: Annotated[int, Field(description="most running jobs")]
    keep_days: Annotated[int | None, Field(description="days until jobs are deleted")]
    quota_bytes: Annotated[int | None, Field(description="most space for uploads and results")]


class Health(Message):
    """State of the server."""

    status: Literal["ok"] = "ok"
    version: str
    model: str
    queued: Annotated[Count, Field(description="number of queued jobs")]
    running: Annotated[Count, Field(description="number of running jobs")]
    limits: HealthLimits


class Problem(Message):
    """An error."""

    detail: Annotated[str, Field(description="what is wrong and what to do, in a sentence")]
