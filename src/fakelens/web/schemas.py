"""What the API answers with."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from fakelens.web.messages import Every, JudgedPerson, Message, Stage

JOB_ID = r"^[0-9a-f]{32}$"

Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(description="ISO 8601, UTC")]


class State(StrEnum):
    """Of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Nothing happens any more unless somebody asks for it."""
        return self not in (State.QUEUED, State.RUNNING)


class Links(Message):
    """Where the results of a job are, on this server."""

    page: Annotated[str, Field(description="to open in a browser")]
    report: str
    bundle: Annotated[str, Field(description="everything, as a zip archive")]
    review: str
    files: Annotated[tuple[str, ...], Field(description="those that there are")]


class Summary(Message):
    """What came out of a job that is done."""

    video_sha256: Annotated[str, Field(description="of the upload")]
    faces_found: Annotated[bool, Field(description="false: there was nothing to judge")]
    persons: Annotated[
        tuple[JudgedPerson, ...], Field(description="those with enough good faces to judge")
    ]
    links: Links


class Job(Message):
    """One upload and what became of it."""

    id: Annotated[str, Field(pattern=JOB_ID)]
    name: Annotated[str, Field(description="as uploaded, cleaned; for people to read")]
    state: State
    bytes: Annotated[Count, Field(description="of the upload")]
    every: Every
    trust: bool
    created: Time
    started: Time | None = None
    finished: Time | None = None
    stage: Annotated[Stage | None, Field(description="while it runs")] = None
    frames_done: Annotated[Count, Field(description="in this stage")] = 0
    frames_total: Annotated[Count | None, Field(description="in this stage, if known")] = None
    eta: Annotated[float | None, Field(ge=0, description="seconds left of this stage")] = None
    error: Annotated[str | None, Field(description="why it failed, in a sentence")] = None
    attempts: Annotated[Count, Field(description="how often it was begun")] = 0
    summary: Summary | None = None


class JobList(Message):
    """Some jobs, newest first."""

    total: Count
    jobs: tuple[Job, ...]


class HealthLimits(Message):
    """What this server takes."""

    upload_bytes: int
    minutes: Annotated[int, Field(description="of a video")]
    pixels: Annotated[int, Field(description="of a picture")]
    queue: Annotated[int, Field(description="jobs that wait")]
    workers: Annotated[int, Field(description="jobs at work at a time")]


class Health(Message):
    """That the server works, and what it is."""

    status: Literal["ok"] = "ok"
    version: str
    model: str
    queued: Count
    running: Count
    limits: HealthLimits


class Problem(Message):
    """Why there is no better answer, in a sentence."""

    detail: str
