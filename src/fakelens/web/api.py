"""The REST API as a whole, and what it says of the server."""

from typing import Annotated

from fastapi import APIRouter, Depends

from fakelens import __version__
from fakelens.web import api_jobs, api_results
from fakelens.web.dependencies import ANYWHERE, TheQueue, model_of
from fakelens.web.schemas import Health, HealthLimits, State

router = APIRouter(prefix="/api", responses=ANYWHERE)
router.include_router(api_jobs.router)
router.include_router(api_results.router)


@router.get(
    "/health",
    tags=["server"],
    operation_id="health",
    response_description="The server works.",
)
async def health(queue: TheQueue, model: Annotated[str, Depends(model_of)]) -> Health:
    """Whether the server works, what it is, and what it takes."""
    limits = queue.limits
    return Health(
        version=__version__,
        model=model,
        queued=queue.store.count(State.QUEUED),
        running=queue.store.count(State.RUNNING),
        limits=HealthLimits(
            upload_bytes=limits.upload_bytes,
            minutes=limits.minutes,
            pixels=limits.pixels,
            queue=limits.queue,
            workers=limits.workers,
        ),
    )
