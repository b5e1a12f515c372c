"""The application: the API and the pages of one queue, behind the guard."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from fakelens import __version__
from fakelens.web import api, invalid, pages
from fakelens.web.examiner import page as examiner
from fakelens.web.example import ExampleClip
from fakelens.web.guard import Access, Guard
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.rendering import error_response
from fakelens.web.retention import deleting_old_jobs
from fakelens.web.store import STORAGE_ERRORS

_log = logging.getLogger("fakelens.web")
_ABOUT = (
    "Upload a video or picture, follow its job, download the results. "
    "A score is evidence, not proof."
)


def create_app(queue: Queue, access: Access, model: str) -> Guard:
    """Return the application, with the guard in front of it.

    Args:
        queue: started and stopped with the application.
        access: who may use the server.
        model: name of the model.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queue.start_jobs()
        async with deleting_old_jobs(queue):
            yield
        await queue.stop()

    app = FastAPI(
        title="fakelens",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other servers
        redoc_url=None,
        # Exports nothing, even if the environment names a collector.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.queue, app.state.model = queue, model
    app.state.example = ExampleClip()
    app.state.needs_token = access.token is not None
    app.include_router(api.router)
    app.include_router(examiner.router)  # before the files of all results
    app.include_router(pages.router)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    for kind in STORAGE_ERRORS:
        app.add_exception_handler(kind, _storage_failed)
    app.add_exception_handler(Exception, _unexpected)
    return Guard(app, access, queue.limits)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error_response(error.status, error.sentence, request.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(422, invalid.describe(error.errors()), request.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence, allowed = error.detail, ""
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette lists only the methods of the first route with this path.
        allowed = _allowed(request) or (error.headers or {}).get("Allow", "")
        sentence = f"this address does not accept {request.method} requests; it accepts {allowed}"
    elif sentence == HTTPStatus.NOT_FOUND.phrase:
        sentence = "there is nothing at this address; the page /docs lists what there is"
    response = error_response(error.status_code, sentence, request.headers)
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _allowed(request: Request) -> str:
    """Return the methods that the API description lists for the requested path."""
    return ", ".join(
        method.upper()
        for path, methods in request.app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
        for method in methods
    )


async def _disconnected(_: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


async def _storage_failed(request: Request, error: Exception) -> Response:
    _log.error("cannot read or write files", exc_info=error)
    sentence = "the server cannot read or write its files at the moment; its disk may be full"
    return error_response(507, sentence, request.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    return error_response(
        500, "the server failed unexpectedly; see its log for the cause", request.headers
    )
