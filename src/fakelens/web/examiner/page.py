"""The page with the form of the examiner's report. It works without JavaScript."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from fakelens.casework.blocks import Paper
from fakelens.casework.case import InvalidCaseError, validate_case
from fakelens.web.dependencies import DoneJob, QueueDep
from fakelens.web.examiner import files
from fakelens.web.examiner import form as form_fields
from fakelens.web.examiner.api import TYPES, attachment, get_case_file
from fakelens.web.examiner.files import CASE, Format
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.rendering import render
from fakelens.web.schemas import Job

PAGE = "examiner"
_MAX_FIELDS = 20_000  # more than a case file of the largest size has causes
_FORM_TYPE = "application/x-www-form-urlencoded"
_PATH = f"/results/{{job_id}}/{PAGE}"
# Without an origin, which "no-referrer" leaves out, the guard refuses a form.
_HEADERS = {"Referrer-Policy": "same-origin"}
_CHANGED = (
    "The case file was saved elsewhere since this form was opened. Nothing was overwritten: look "
    "at it in another tab, then save again to replace it with what is below."
)
_SAVED = "Saved."
_FORMATS: dict[str, Format] = {"pdf": "pdf", "html": "html"}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Form:
    """What the page shows.

    Attributes:
        values: of the form.
        revision: of the case file that they were made from; empty if there was none.
        problems: what is wrong, by the name of the value.
        alert: what went wrong otherwise.
        done: what was done.
        wrote: the report that was just written.
        paper: size of the pages that is chosen.
    """

    values: form_fields.Values
    revision: str
    problems: Mapping[str, str] = field(default_factory=dict)
    alert: str = ""
    done: str = ""
    wrote: Format | None = None
    paper: Paper = "a4"


@router.get(_PATH)
async def show(
    job: DoneJob,
    queue: QueueDep,
    *,
    saved: Annotated[bool, Query()] = False,
    wrote: Annotated[Format | None, Query()] = None,
    missing: Annotated[int, Query(ge=0, le=10**6)] = 0,
) -> HTMLResponse:
    """Return the form with the saved case.

    Args:
        job: that the report is about.
        queue: of the server.
        saved: whether the form was just saved.
        wrote: the report that was just written.
        missing: number of characters that its PDF shows as numbers.
    """
    case, revision = files.read(queue.store.results(job.id))
    done = _done(wrote, missing) if wrote else _SAVED if saved else ""
    form = _Form(form_fields.fill(case), revision, done=done, wrote=wrote)
    return _page(queue, job, form)


@router.post(_PATH)
async def submit(job: DoneJob, queue: QueueDep, request: Request) -> Response:
    """Save the form and, if the button says so, write the report."""
    values = await _read_form(request)
    wanted, revision = values.pop("then", ""), values.pop("revision", "")
    paper: Paper = "letter" if values.pop("paper", "") == "letter" else "a4"
    results = queue.store.results(job.id)
    content, names = form_fields.to_table(values)
    try:
        case = validate_case(content)
    except InvalidCaseError as error:
        found = {names[place]: f"This value {text}." for place, text in error.problems.items()}
        return _page(queue, job, _Form(values, revision, found, paper=paper), 422)
    try:
        stored, saved = files.read(results)
        # A second click on the button sends what the first one has just saved.
        if saved != revision and stored != case:
            return _page(queue, job, _Form(values, saved, alert=_CHANGED, paper=paper), 409)
        files.write(results, case)
    except ProblemError as error:
        alert = f"The form was not saved: {error.sentence}."
        return _page(queue, job, _Form(values, revision, alert=alert, paper=paper), error.status)
    kind = _FORMATS.get(wanted)
    if kind is None:
        return RedirectResponse(f"{PAGE}?saved=true", 303)
    try:
        _, missing = await files.make_report(queue, job, kind, paper)
    except ProblemError as error:
        if queue.find(job.id) is None:
            raise
        _, revision = files.read(results)
        alert = f"The form was saved, but no report was written: {error.sentence}."
        return _page(queue, job, _Form(values, revision, alert=alert, paper=paper), error.status)
    return RedirectResponse(f"{PAGE}?wrote={kind}&missing={missing}", 303)


router.get(f"{_PATH}/{CASE}")(get_case_file)


@router.get(f"{_PATH}/examiner-report.{{kind}}")
async def download(job: DoneJob, queue: QueueDep, kind: Format) -> FileResponse:
    """Return the report that was written last."""
    path = queue.store.results(job.id) / files.report_name(kind)
    if not path.is_file():
        raise ProblemError(404, "nobody has written this report yet")
    return FileResponse(path, media_type=TYPES[kind], headers=attachment(path.name))


def _page(queue: Queue, job: Job, form: _Form, status: int = 200) -> HTMLResponse:
    results = queue.store.results(job.id)
    page = render(
        "examiner.html.jinja",
        job=job,
        form=form,
        groups=form_fields.make_groups(form.values, form.problems),
        written=files.written_reports(results),
        extras=files.missing_extras(),
    )
    return HTMLResponse(page, status, headers=_HEADERS)


def _done(wrote: Format, missing: int) -> str:
    text = f"Saved, and {files.report_name(wrote)} was written."
    if missing and wrote == "pdf":
        text += (
            f" The PDF has no glyph for {missing} characters and shows their numbers in Unicode "
            "instead; the HTML file shows them."
        )
    return text


async def _read_form(request: Request) -> dict[str, str]:
    """Return the values of a form, sent in the way of HTML forms without files.

    Raises:
        ProblemError: the body is no such form.
    """
    if not request.headers.get("content-type", "").startswith(_FORM_TYPE):
        raise ProblemError(422, f"the request body is not that of a form: send {_FORM_TYPE}")
    try:
        body = (await request.body()).decode("ascii")
        pairs = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise ProblemError(422, "the request body is not that of a form") from error
    return {name: text.replace("\r\n", "\n") for name, text in pairs}
