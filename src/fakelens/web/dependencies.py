"""What the routes of the API have in common: who is asked about what, and how that can fail."""

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import JOB_ID, Job, Problem, State


def queue_of(request: Request) -> Queue:
    """The server's queue."""
    queue: Queue = request.app.state.queue
    return queue


def model_of(request: Request) -> str:
    """What the server's model is called."""
    model: str = request.app.state.model
    return model


JobId = Annotated[str, Path(pattern=JOB_ID, description="of the job")]
TheQueue = Annotated[Queue, Depends(queue_of)]


async def known_job(job_id: JobId, queue: TheQueue) -> Job:
    """The job that an address names.

    Raises:
        ProblemError: there is none.
    """
    job = queue.find(job_id)
    if job is None:
        raise ProblemError(404, "there is no such job; perhaps it was deleted")
    return job


async def done_job(job: Annotated[Job, Depends(known_job)], queue: TheQueue) -> Job:
    """A job that has results.

    Raises:
        ProblemError: there is no such job, or it has none.
    """
    if job.state is not State.DONE:
        raise ProblemError(409, f"this job has no results: it is {job.state}")
    if not queue.store.results(job.id).is_dir():
        raise ProblemError(404, "the results of this job are no longer on the server's disk")
    return job


KnownJob = Annotated[Job, Depends(known_job)]
DoneJob = Annotated[Job, Depends(done_job)]


def problems(**told: str) -> dict[int | str, dict[str, Any]]:
    """For the description: problems by status, as ``s404="why"``."""
    # Not as a model, which would be described as of the type that the route answers with.
    content = {"application/json": {"schema": Problem.model_json_schema()}}
    return {
        int(status[1:]): {"content": content, "description": words}
        for status, words in told.items()
    }


UNKNOWN = problems(s404="There is no such job.", s422="The address or a parameter is malformed.")
NO_RESULTS = problems(s409="The job has no results, or not yet.")
ANYWHERE = problems(
    s401="The server wants a token and did not get it.",
    s403="Another site's page asked.",
    s421="The server was addressed by a name that is not its own.",
)
