"""Messages between the server and a worker process: one line of JSON each."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fakelens.records.findings import Verdict

Every = Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"]
Stage = Literal["examining", "drawing"]


class Message(BaseModel):
    """Base class of all messages, and of the objects that the API returns."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Task(Message):
    """First and only message to the worker: the job.

    Attributes:
        input: the upload.
        output: folder to create for the results.
        name: file name of the upload, for display.
        model: name or path.
        threads: of the model; ``None`` for one per core.
        every: examine every n-th frame; auto: about five frames per second.
        trust: measure how reliable scores and heatmaps are.
        minutes: longest video.
        frames: most frames of a video.
        pixels: largest frame.
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
    """From the worker: number of frames done, and the total if known."""

    kind: Literal["progress"] = "progress"
    stage: Stage
    done: int
    total: int | None


class AliveMessage(Message):
    """From the worker, at intervals: seconds of CPU time used so far."""

    kind: Literal["alive"] = "alive"
    cpu_seconds: float


class PersonSummary(Message):
    """The answer on one person, as at the top of the report page."""

    person: Annotated[int, Field(ge=1)]
    verdict: Verdict
    score: Annotated[
        float | None, Field(ge=0, le=1, description="1 = fake; null: no face is good enough")
    ]
    first: Annotated[float, Field(description="time of first appearance, seconds")]
    last: Annotated[float, Field(description="time of last appearance, seconds")]
    answer: Annotated[
        str,
        Field(description='the verdict; "not judged" if the person is not seen well enough'),
    ] = ""  # in results of earlier versions that cannot be read again
    sure: Annotated[str, Field(description="what weakens the verdict, a sentence")] = ""


class OutcomeMessage(Message):
    """Last message from the worker: the results are complete.

    Attributes:
        video_sha256: of the upload.
        faces_found: whether there is a face.
        persons: the most suspicious first.
        suspect: number of the most suspicious person with a score.
        error_rates: how often the model is wrong, in a sentence.
    """

    kind: Literal["outcome"] = "outcome"
    video_sha256: str
    faces_found: bool
    persons: tuple[PersonSummary, ...]
    suspect: int | None
    error_rates: str


class FailureMessage(Message):
    """Last message from the worker: why there are no results, in a sentence."""

    kind: Literal["failure"] = "failure"
    sentence: str


WorkerMessage = TypeAdapter[AliveMessage | ProgressMessage | OutcomeMessage | FailureMessage](
    Annotated[
        AliveMessage | ProgressMessage | OutcomeMessage | FailureMessage,
        Field(discriminator="kind"),
    ]
)
