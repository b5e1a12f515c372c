"""The server's own pages, and its refusals: for people as pages, for programs as JSON."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response


def render(template: str, **values: object) -> str:
    """A page as HTML; values are escaped."""
    return _environment().get_template(template).render(values)


def refusal(
    status: int, sentence: str, headers: Headers, *, page: str = "refused.html.jinja"
) -> Response:
    """A sentence as an answer.

    Args:
        status: HTTP status.
        sentence: without a full stop.
        headers: of the request; they tell whether a person reads the answer.
        page: template for people.
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
