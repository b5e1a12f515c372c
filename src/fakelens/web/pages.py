"""The server's pages for browsers: the app, the API documentation and the reports."""

from importlib.resources import files as package_files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from fakelens import __version__
from fakelens.report.review import content_policy, embed
from fakelens.web import example, files, reviews
from fakelens.web.api_results import get_reviews, put_review, result
from fakelens.web.dependencies import DoneJob, QueueDep
from fakelens.web.examiner.api import SENT_TYPE
from fakelens.web.examiner.page import PAGE as EXAMINER
from fakelens.web.problems import ProblemError
from fakelens.web.rendering import render

_STATIC = {
    "app.js": "text/javascript",
    "rows.js": "text/javascript",
    "example.js": "text/javascript",
    "search.js": "text/javascript",
    "base.css": "text/css",
    "jobs.css": "text/css",
    "docs.css": "text/css",
    "examiner.css": "text/css",
    "examiner.js": "text/javascript",
}
_SHARED = {"look.css": "text/css", "icon.svg": "image/svg+xml"}  # with the report page
_REVIEW_URL = "review"  # relative to the report page
_LINKS = {"All results": "/", "Examiner's report": EXAMINER}
_DEFAULT_NONE = ("frame-ancestors", "base-uri", "form-action")  # if the report sets no rule

_AUTHORIZATION = ' -H "Authorization: Bearer $TOKEN"'

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(queue: QueueDep) -> HTMLResponse:
    """Return the page for uploads and results."""
    return HTMLResponse(
        render(
            "index.html.jinja",
            version=__version__,
            keep_days=queue.limits.keep_days,
            example_problem=example.problem(),
        )
    )


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Return the API documentation, generated from the API description."""
    description: dict[str, Any] = request.app.openapi()
    return HTMLResponse(
        render(
            "docs.html.jinja",
            description=description,
            operations=_by_tag(
                description,
                str(request.base_url).rstrip("/"),
                _AUTHORIZATION if request.app.state.needs_token else "",
            ),
        )
    )


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Return a script, style sheet or icon of the pages."""
    if name in _SHARED:
        path = package_files("fakelens.report").joinpath("assets", name)
    elif name in _STATIC:
        path = package_files("fakelens.web").joinpath("static", name)
    else:
        raise ProblemError(404, "there is no such file")
    kind = (_SHARED | _STATIC)[name]
    return Response(path.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


@router.get(f"/results/{{job_id}}/{files.PAGE}")
async def results_page(job: DoneJob, queue: QueueDep) -> HTMLResponse:
    """Return a job's report page with its reviews, which the page saves to this server."""
    results = queue.store.results(job.id)
    page = (results / files.PAGE).read_text(encoding="utf-8")
    shown = embed(page, reviews.read_all(results), save_to=_REVIEW_URL, links=_LINKS)
    return HTMLResponse(shown, headers={"Content-Security-Policy": _policy(page)})


router.get("/results/{job_id}/reviews")(get_reviews)


@router.get("/results/{job_id}/{name:path}")
async def results_file(job: DoneJob, queue: QueueDep, name: str) -> Response:
    """Return a file that the report page links to."""
    return result(queue, job, name)


router.put(f"/results/{{job_id}}/{_REVIEW_URL}")(put_review)


def _policy(page: str) -> str:
    own = content_policy(page)
    present = {rule.split()[0] for rule in own.split(";") if rule.strip()}
    missing = (f"{name} 'none'" for name in _DEFAULT_NONE if name not in present)
    return "; ".join([own.rstrip("; "), *missing])


def _by_tag(
    description: dict[str, Any], server: str, options: str
) -> dict[str, list[dict[str, Any]]]:
    """Group what the documentation shows of each operation by tag, in the order of the API."""
    tags: dict[str, list[dict[str, Any]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            entry = {
                "method": method.upper(),
                "path": path,
                "curl": _curl(method.upper(), server + path, operation) + options,
                "description": operation["description"],
                "parameters": operation.get("parameters", []),
                "responses": sorted(operation["responses"].items()),
            }
            tags.setdefault(operation["tags"][0], []).append(entry)
    return tags


def _curl(method: str, address: str, operation: dict[str, Any]) -> str:
    """Return an example command line for an operation."""
    address = address.replace("{job_id}", "$JOB").replace("{name}", "annotated.mp4")
    body: str | None = next(iter(operation.get("requestBody", {}).get("content", {})), None)
    if body == "application/octet-stream":
        return f"curl --data-binary @clip.mp4 '{address}?name=clip.mp4'"
    if body == "application/json":
        return f"curl -X {method} --json @review.json {address}"
    if body == SENT_TYPE:
        return f"curl -X {method} -H 'Content-Type: {body}' --data-binary @CASE.toml {address}"
    return f"curl {address}" if method == "GET" else f"curl -X {method} {address}"
