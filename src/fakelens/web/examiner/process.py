"""Writes an examiner's report in a process of its own, because the upload is decoded for it.

``python -m fakelens.web.examiner.process TASK.json`` writes the report as ``fakelens report`` does,
and ``outcome.json`` beside it. Its memory is limited as that of ``worker``.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

from fakelens.casework import save
from fakelens.casework.blocks import Paper
from fakelens.casework.case import read_case
from fakelens.casework.examination import gather
from fakelens.errors import FakelensError
from fakelens.web.messages import Message
from fakelens.web.problems import ProblemError
from fakelens.web.resources import limit_resources
from fakelens.web.worker_process import OWN_GROUP

_COMMAND = (sys.executable, "-P", "-m", "fakelens.web.examiner.process")
_TASK, _OUTCOME = "task.json", "outcome.json"
_FAILED = "the examiner's report could not be made; see the server's log for the cause"
_one_at_a_time = asyncio.Lock()


class ReportTask(Message):
    """What the process does.

    Attributes:
        results: folder of the results.
        case: the case file.
        upload: the input, if it is still there.
        target: file to write; a PDF has an HTML file beside it.
        paper: size of the pages of the PDF.
        memory_bytes: most memory of the process.
    """

    results: Path
    case: Path
    upload: Path
    target: Path
    paper: Paper
    memory_bytes: int


class ReportOutcome(Message):
    """What the process did.

    Attributes:
        files: that it wrote.
        missing: number of characters that the PDF shows as numbers in Unicode.
        problem: why there is no report, in a sentence without a full stop; empty if there is one.
    """

    files: tuple[Path, ...] = ()
    missing: int = 0
    problem: str = ""


async def run(task: ReportTask, seconds: float) -> ReportOutcome:
    """Write a report in a process of its own, one at a time.

    Args:
        task: its target lies in an empty folder.
        seconds: the process is stopped after this time.

    Raises:
        ProblemError: the process failed unexpectedly or took too long.
    """
    folder = task.target.parent
    (folder / _TASK).write_text(task.model_dump_json(), encoding="utf-8")
    async with _one_at_a_time:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, str(folder / _TASK), stdin=DEVNULL, stdout=DEVNULL, **OWN_GROUP
        )
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError as error:
            raise ProblemError(500, _FAILED) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()  # it may still write into the folder, which is deleted next
    if code:
        raise ProblemError(500, _FAILED)
    return ReportOutcome.model_validate_json((folder / _OUTCOME).read_bytes())


def main() -> None:
    """Write the report of the task in the file that is named on the command line."""
    path = Path(sys.argv[1])
    task = ReportTask.model_validate_json(path.read_bytes())
    limit_resources(task.memory_bytes)
    path.with_name(_OUTCOME).write_text(_write(task).model_dump_json(), encoding="utf-8")


def _write(task: ReportTask) -> ReportOutcome:
    try:
        files = save.output_files(task.target)
        source = task.upload if task.upload.exists() else None
        examination = gather(task.results, read_case(task.case), source=source)
        written, missing = save.save(examination, files, paper=task.paper)
    except FakelensError as error:
        print(f"no examiner's report: {error}", file=sys.stderr)
        # Paths of the server's disk are not for its clients.
        return ReportOutcome(problem=str(error).replace(f"{task.results}{os.sep}", ""))
    return ReportOutcome(files=tuple(written), missing=len(missing))


if __name__ == "__main__":
    main()
