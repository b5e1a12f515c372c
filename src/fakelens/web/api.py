"""The REST API: its routers, and the state of the server."""

from typing import Annotated

from fastapi import APIRouter, Depends

from fakelens import __version__
from fakelens.web import api_jobs, api_results
from fakelens.web.dependencies import COMMON_PROBLEMS, QueueDep, get_model_name
from fakelens.web.examiner import api as examiner_api
from fakelens.web.schemas import Health, HealthLimits, State

router = APIRouter(prefix="/api", responses=COMMON_PROBLEMS)
router.include_router(api_jobs.router)
router.include_router(api_results.router)
router.include_router(examiner_api.router)


@router.get(
    "/health",
    tags=["server"],
    operation_id="health",
    response_description="The server is running.",
)
async def health(queue: QueueDep, model: Annotated[str, Depends(get_model_name)]) -> Health:
    """Return the server's version, model, limits and numbers of jobs."""
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
            keep_days=limits.keep_days,
            quota_bytes=limits.quota_bytes,
        ),
    )
