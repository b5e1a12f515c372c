"""The server's pages for browsers: the app, the API's description, and the review pages."""

from importlib.resources import files as package_files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from fakelens import __version__
from fakelens.report.review import content_policy, embed
from fakelens.web import files, reviews
from fakelens.web.api_results import put_review, result
from fakelens.web.dependencies import DoneJob, TheQueue
from fakelens.web.problems import ProblemError
from fakelens.web.rendering import render

_STATIC = {
    "app.js": "text/javascript",
    "rows.js": "text/javascript",
    "app.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_REVIEW_PLACE = "review"  # beside the page
_FORBIDDEN = ("frame-ancestors", "base-uri", "form-action")  # unless the page has its own rule

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> HTMLResponse:
    """The app."""
    return HTMLResponse(render("index.html.jinja", version=__version__))


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The API in words, made of its description."""
    description: dict[str, Any] = request.app.openapi()
    return HTMLResponse(
        render(
            "docs.html.jinja",
            description=description,
            operations=_by_tag(description, str(request.base_url).rstrip("/")),
        )
    )


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Script, style and icon of the pages."""
    if name not in _STATIC:
        raise ProblemError(404, "there is no such file")
    data = package_files("fakelens.web").joinpath("static", name).read_bytes()
    return Response(data, media_type=_STATIC[name], headers={"Cache-Control": "no-cache"})


@router.get(f"/results/{{job_id}}/{files.PAGE}")
async def results_page(job: DoneJob, queue: TheQueue) -> HTMLResponse:
    """A job's report, with the review in it, that keeps changes of the review here."""
    results = queue.store.results(job.id)
    page = (results / files.PAGE).read_text(encoding="utf-8")
    shown = embed(page, reviews.read(results), save_to=_REVIEW_PLACE)
    return HTMLResponse(shown, headers={"Content-Security-Policy": _policy(page)})


@router.get("/results/{job_id}/{name:path}")
async def results_file(job: DoneJob, queue: TheQueue, name: str) -> Response:
    """What the page links to."""
    return result(queue, job, name)


router.put(f"/results/{{job_id}}/{_REVIEW_PLACE}")(put_review)


def _policy(page: str) -> str:
    own = content_policy(page)
    ruled = {rule.split()[0] for rule in own.split(";") if rule.strip()}
    more = (f"{name} 'none'" for name in _FORBIDDEN if name not in ruled)
    return "; ".join([own.rstrip("; "), *more])


def _by_tag(description: dict[str, Any], server: str) -> dict[str, list[dict[str, Any]]]:
    """What the page shows of each operation, in the order of the description."""
    tags: dict[str, list[dict[str, Any]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            shown = {
                "method": method.upper(),
                "path": path,
                "curl": _curl(method.upper(), server + path, operation),
                "description": operation["description"],
                "parameters": operation.get("parameters", []),
                "answers": sorted(operation["responses"].items()),
            }
            tags.setdefault(operation["tags"][0], []).append(shown)
    return tags


def _curl(method: str, address: str, operation: dict[str, Any]) -> str:
    """A command line that does it."""
    address = address.replace("{job_id}", "$JOB").replace("{name}", "annotated.mp4")
    body: str | None = next(iter(operation.get("requestBody", {}).get("content", {})), None)
    if body == "application/octet-stream":
        return f"curl --data-binary @clip.mp4 '{address}?name=clip.mp4'"
    if body == "application/json":
        return f"curl -X {method} --json @review.json {address}"
    return f"curl {address}" if method == "GET" else f"curl -X {method} {address}"
