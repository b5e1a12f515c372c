"""Rendering of the server's own pages, and of errors: as pages for people, as JSON for programs."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response


def render(template: str, **values: object) -> str:
    """Return a page as HTML; values are escaped."""
    return _environment().get_template(template).render(values)


def error_response(
    status: int, sentence: str, headers: Headers, *, page: str = "error.html.jinja"
) -> Response:
    """Return an error as a page or, unless the client accepts HTML, as JSON.

    Args:
        status: HTTP status.
        sentence: what is wrong and what to do, without a full stop.
        headers: of the request.
        page: template of the page.
    """
    if "text/html" in headers.get("accept", ""):
        return HTMLResponse(render(page, sentence=sentence), status)
    return JSONResponse({"detail": sentence}, status)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("fakelens.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
