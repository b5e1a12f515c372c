"""The application: the API and the pages over one queue, behind the guard."""

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
from fakelens.web import api, pages
from fakelens.web.guard import Access, Guard
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.rendering import refusal
from fakelens.web.store import UNSTORABLE

_log = logging.getLogger("fakelens.web")
_ABOUT = (
    "Upload a video or picture, follow its job, fetch the results. A score is evidence, not proof."
)


def create_app(queue: Queue, access: Access, model: str) -> Guard:
    """The application as it may be shown to others: nothing gets past the guard.

    Args:
        queue: started and stopped with the application.
        access: who may ask.
        model: what it is called.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queue.fill()
        yield
        await queue.stop()

    app = FastAPI(
        title="fakelens",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # these pages load their script from elsewhere
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.queue, app.state.model = queue, model
    app.include_router(api.router)
    app.include_router(pages.router)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ClientDisconnect, _gone)
    for kind in UNSTORABLE:
        app.add_exception_handler(kind, _unstorable)
    app.add_exception_handler(Exception, _unexpected)
    return Guard(app, access)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return refusal(error.status, error.sentence, request.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
    ]
    return refusal(422, "; ".join(problems), request.headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refusal(error.status_code, error.detail, request.headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Starlette names the methods of the first route that has this path.
        answer.headers["Allow"] = _allowed(request) or (error.headers or {}).get("Allow", "")
    return answer


def _allowed(request: Request) -> str:
    """The methods that the description has for a path."""
    return ", ".join(
        method.upper()
        for path, methods in request.app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
        for method in methods
    )


async def _gone(_: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def _unstorable(request: Request, error: Exception) -> Response:
    _log.error("cannot be stored or read", exc_info=error)
    sentence = "the server cannot store or read its files now: its disk may be full"
    return refusal(507, sentence, request.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    return refusal(500, "the server failed unexpectedly; its log says why", request.headers)
