"""What a server and a worker process say to each other: JSON, one message a line."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fakelens.records.findings import Verdict

Every = Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"]
Stage = Literal["examining", "drawing"]


class Message(BaseModel):
    """Base of all messages, and of the records that the API answers with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(Message):
    """To the worker, once: what to do.

    Attributes:
        input: the upload.
        output: folder to make for the results.
        name: of the upload, for people to read.
        model: name or path.
        threads: of the model.
        every: examine every n-th frame; auto: about five a second.
        trust: measure how far scores and heatmaps can be trusted.
        minutes: longest video.
        frames: most frames.
        pixels: largest picture.
        memory_bytes: most memory of the process.
    """

    input: Path
    output: Path
    name: str
    model: str
    threads: int | None
    every: Every
    trust: bool
    minutes: int
    frames: int
    pixels: int
    memory_bytes: int


class ProgressMessage(Message):
    """From the worker: frames done, and in all if that is known."""

    kind: Literal["progress"] = "progress"
    stage: Stage
    done: int
    total: int | None


class JudgedPerson(Message):
    """A person of whom there were enough good faces to judge."""

    person: Annotated[int, Field(ge=1)]
    verdict: Verdict
    score: Annotated[float, Field(ge=0, le=1, description="1 = fake")]
    first: Annotated[float, Field(description="first seen, seconds")]
    last: Annotated[float, Field(description="last seen, seconds")]


class OutcomeMessage(Message):
    """From the worker, last: the results are complete."""

    kind: Literal["outcome"] = "outcome"
    video_sha256: str
    faces_found: bool
    persons: tuple[JudgedPerson, ...]


class FailureMessage(Message):
    """From the worker, last: why there are no results, in a sentence."""

    kind: Literal["failure"] = "failure"
    sentence: str


Said = TypeAdapter[ProgressMessage | OutcomeMessage | FailureMessage](
    Annotated[ProgressMessage | OutcomeMessage | FailureMessage, Field(discriminator="kind")]
)
