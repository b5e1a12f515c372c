"""Shared parts of the API's routes: dependencies, and descriptions of their errors."""

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from fakelens.web.example import ExampleClip
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import JOB_ID, Job, Problem, State


def get_queue(request: Request) -> Queue:
    """Return the server's queue."""
    queue: Queue = request.app.state.queue
    return queue


def get_model_name(request: Request) -> str:
    """Return the name of the server's model."""
    model: str = request.app.state.model
    return model


def get_example(request: Request) -> ExampleClip:
    """Return the server's example clip."""
    clip: ExampleClip = request.app.state.example
    return clip


JobId = Annotated[str, Path(pattern=JOB_ID, description="id of the job")]
QueueDep = Annotated[Queue, Depends(get_queue)]
ExampleDep = Annotated[ExampleClip, Depends(get_example)]


async def known_job(job_id: JobId, queue: QueueDep) -> Job:
    """Return the job with an id.

    Raises:
        ProblemError: there is no such job.
    """
    job = queue.find(job_id)
    if job is None:
        raise ProblemError(404, "there is no such job; it may have been deleted")
    return job


async def done_job(job: Annotated[Job, Depends(known_job)]) -> Job:
    """Return the job with an id if it has results.

    Raises:
        ProblemError: there is no such job, or it has no results.
    """
    if job.state is State.DAMAGED:
        raise ProblemError(404, job.error or "this job is damaged")
    if job.state is not State.DONE:
        raise ProblemError(409, f"this job has no results: it is {job.state}")
    return job


KnownJob = Annotated[Job, Depends(known_job)]
DoneJob = Annotated[Job, Depends(done_job)]


def problems(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Return error responses for the API description, given as ``s404="description"``."""
    # A schema and not a model, for which FastAPI would use the media type of the route.
    content = {"application/json": {"schema": Problem.model_json_schema()}}
    return {
        int(status[1:]): {"content": content, "description": description}
        for status, description in descriptions.items()
    }


NOT_FOUND = problems(s404="There is no such job.", s422="The address or a parameter is malformed.")
NO_RESULTS = problems(s409="The job has no results.")
COMMON_PROBLEMS = problems(
    s401="The token is missing or wrong.",
    s403="The request comes from another site.",
    s421="The host name in the request is not one of this server.",
)
