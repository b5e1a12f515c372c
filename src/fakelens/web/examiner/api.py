"""The REST API of the examiner's report: the case file, and the report made from it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from fakelens.casework.blocks import Paper
from fakelens.web.dependencies import NO_RESULTS, NOT_FOUND, DoneJob, QueueDep, problems
from fakelens.web.examiner import files
from fakelens.web.examiner.files import CASE, Format
from fakelens.web.problems import ProblemError

CASE_TYPE = "application/toml"
SENT_TYPE = "text/plain"  # as which many clients send TOML; the server accepts any type
TYPES = {"pdf": "application/pdf", "html": "text/html"}
"""Media types of reports."""

_FILE = {"schema": {"type": "string"}}

router = APIRouter()


@router.get(
    "/jobs/{job_id}/case-file",
    tags=["examiner's report"],
    operation_id="getCaseFile",
    response_class=Response,
    responses=NOT_FOUND
    | NO_RESULTS
    | problems(s404="There is no such job, or no case file.")
    | {200: {"description": "The case file.", "content": {CASE_TYPE: _FILE}}},
)
async def get_case_file(job: DoneJob, queue: QueueDep) -> Response:
    """Return the case file, CASE.toml: what the examiner states."""
    text = files.read_text(queue.store.results(job.id))
    if text is None:
        raise ProblemError(404, files.NO_CASE)
    return Response(text, media_type=CASE_TYPE, headers=attachment(CASE))


@router.put(
    "/jobs/{job_id}/case-file",
    tags=["examiner's report"],
    operation_id="putCaseFile",
    response_description="The case file was saved.",
    status_code=204,
    responses=NOT_FOUND
    | NO_RESULTS
    | problems(
        s400="The body cannot be read.",
        s413="The case file is too large.",
        s422="The body is not a case file, or the address is malformed.",
        s507="The case file cannot be stored.",
    ),
    openapi_extra={
        "requestBody": {
            "description": "CASE.toml, as for fakelens report --examiner.",
            "required": True,
            "content": {SENT_TYPE: {"schema": {"type": "string", "minLength": 1}}},
        }
    },
)
async def put_case_file(job: DoneJob, queue: QueueDep, request: Request) -> None:
    """Save a case file in place of the previous one."""
    body = await request.body()
    if not body:  # such as a client that did not find its file
        raise ProblemError(422, "the request body is empty: send the content of a CASE.toml")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(422, "not a TOML file: it is not text in UTF-8") from error
    files.write_text(queue.store.results(job.id), text)


@router.post(
    "/jobs/{job_id}/examiner-report",
    tags=["examiner's report"],
    operation_id="makeExaminerReport",
    response_class=FileResponse,
    responses=NOT_FOUND
    | {
        200: {
            "description": "The report.",
            "content": dict.fromkeys(TYPES.values(), _FILE),
        }
    }
    | problems(
        s409="There is no case file, or it or the results are damaged or missing.",
        s501="The package that writes PDF is not installed.",
        s507="The report cannot be stored.",
    ),
)
async def make_examiner_report(
    job: DoneJob,
    queue: QueueDep,
    kind: Annotated[Format, Query(alias="format", description="of the file")] = "pdf",
    paper: Annotated[Paper, Query(description="size of the pages of the PDF")] = "a4",
) -> FileResponse:
    """Write the examiner's report from the case file, store it with the results and return it."""
    path, _ = await files.make_report(queue, job, kind, paper)
    return FileResponse(path, media_type=TYPES[kind], filename=path.name)


def attachment(name: str) -> dict[str, str]:
    """Return the header that names a download."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
