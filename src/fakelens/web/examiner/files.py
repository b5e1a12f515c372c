"""The case file and the examiner's report of a job, stored with its results."""

import hashlib
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from fakelens.casework import save
from fakelens.casework.blocks import Paper
from fakelens.casework.case import Case, parse_case
from fakelens.casework.case_toml import write_case
from fakelens.errors import UsageError
from fakelens.web.examiner import process
from fakelens.web.examiner.process import ReportTask
from fakelens.web.folders import write_durably
from fakelens.web.limits import MEGABYTE
from fakelens.web.problems import ProblemError
from fakelens.web.queue import Queue
from fakelens.web.schemas import Job

CASE = "CASE.toml"
MAX_CASE_BYTES = 200_000

NO_CASE = "nobody has saved a case file for this result yet"
NO_PDF = (
    "this server cannot write PDF, because its extra 'casework' (reportlab) is not installed; the "
    "HTML file has the same content"
)
NO_CREDENTIALS = (
    "the report will call Content Credentials 'not checked', because the server's extra 'c2pa' "
    "(c2pa-python) is not installed"
)

Format = Literal["pdf", "html"]

_PDF_PACKAGE = "reportlab"


def report_name(kind: Format) -> str:
    """Return the file name of a report."""
    return Path(save.FILE_NAME).with_suffix(f".{kind}").name


def read_text(results: Path) -> str | None:
    """Return the text of the case file, or ``None`` if there is none."""
    try:
        return (results / CASE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def read(results: Path) -> tuple[Case, str]:
    """Read the case file.

    Returns:
        The case, which is empty if nobody has stated anything, and the revision of the file.

    Raises:
        ProblemError: the file is damaged, or cannot be read.
    """
    try:
        text = read_text(results)
        return parse_case(text or ""), _revision(text)
    except OSError as error:
        raise ProblemError(507, f"the case file cannot be read: {error.strerror}") from error
    except (UsageError, UnicodeDecodeError) as error:
        raise ProblemError(
            409,
            f"the saved case file is damaged: {error}; download it, correct it, and send it again "
            "by PUT, as the page /docs shows",
        ) from error


def write(results: Path, case: Case) -> None:
    """Save a case.

    Raises:
        ProblemError: it is too large, or cannot be stored.
    """
    write_text(results, write_case(case))


def write_text(results: Path, text: str) -> None:
    """Save the text of a case file.

    Raises:
        ProblemError: it is too large, no case file, or cannot be stored.
    """
    if len(text.encode("utf-8")) > MAX_CASE_BYTES:
        limit = MAX_CASE_BYTES / MEGABYTE
        raise ProblemError(413, f"the case file is larger than the limit of {limit:g} MB")
    try:
        parse_case(text)
    except UsageError as error:
        raise ProblemError(422, str(error)) from error
    _store(results / CASE, text)


async def make_report(queue: Queue, job: Job, kind: Format, paper: Paper) -> tuple[Path, int]:
    """Write the examiner's report of a job from its case file, as the command line does.

    Args:
        queue: of the server.
        job: that is done.
        kind: of file; a PDF has an HTML file with the same content beside it.
        paper: size of the pages of the PDF.

    Returns:
        The file, and the number of characters that the PDF shows as numbers in Unicode.

    Raises:
        ProblemError: an extra or the case file is missing, it or the results are damaged, the
            job was deleted meanwhile, or the report cannot be stored.
    """
    if kind == "pdf" and find_spec(_PDF_PACKAGE) is None:
        raise ProblemError(501, NO_PDF)
    store = queue.store
    results = store.results(job.id)
    read(results)
    if not (results / CASE).exists():
        raise ProblemError(409, NO_CASE)
    with tempfile.TemporaryDirectory(prefix="fakelens-report-") as folder:
        target = Path(folder, report_name(kind))
        task = ReportTask(
            results=results,
            case=results / CASE,
            upload=store.input(job.id),
            target=target,
            paper=paper,
            memory_bytes=queue.limits.memory_bytes,
        )
        done = await process.run(task, queue.limits.stall_seconds)
        if queue.find(job.id) is None:  # deleted meanwhile
            raise ProblemError(404, "there is no such job; it may have been deleted")
        if done.problem:
            raise ProblemError(409, done.problem)
        for file in done.files:
            _store(results / file.name, file.read_bytes())
    return results / target.name, done.missing


def _store(path: Path, content: str | bytes) -> None:
    try:
        write_durably(path, content)
    except OSError as error:
        raise ProblemError(507, f"{path.name} cannot be stored: {error.strerror}") from error


def written_reports(results: Path) -> dict[Format, bool]:
    """Return the formats in which there is a report, and whether it is older than the case file."""
    paths: dict[Format, Path] = {kind: results / report_name(kind) for kind in ("pdf", "html")}
    case = results / CASE
    saved = case.stat().st_mtime_ns if case.is_file() else 0
    return {kind: path.stat().st_mtime_ns < saved for kind, path in paths.items() if path.is_file()}


def missing_extras() -> list[str]:
    """Say which optional packages are missing, and what is not available without them."""
    sentences = {_PDF_PACKAGE: NO_PDF, "c2pa": NO_CREDENTIALS}
    return [text for package, text in sentences.items() if find_spec(package) is None]


def _revision(text: str | None) -> str:
    """Return what tells apart two contents of a case file."""
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]
