"""Writes the examiner's report: a PDF and an HTML file, or neither if anything fails."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fakelens.casework.blocks import Paper
from fakelens.casework.content import compose
from fakelens.casework.examination import Examination
from fakelens.casework.html import write_html
from fakelens.errors import MissingExtraError, UsageError
from fakelens.media.results_folder import check_free
from fakelens.media.staging import move_into_place, staging_folder

FILE_NAME = "examiner-report.pdf"
PDF, HTML = ".pdf", ".html"


def output_files(target: Path) -> tuple[Path, ...]:
    """Return the files to write: a PDF with the HTML file beside it, or an HTML file alone.

    Raises:
        UsageError: the name ends neither in ``.pdf`` nor in ``.html``.
        MissingExtraError: a PDF is wanted, but reportlab is not installed.
    """
    suffix = target.suffix.lower()
    if suffix == HTML:
        return (target,)
    if suffix != PDF:
        raise UsageError(f"{target}: not the name of a report; end it in .pdf or .html")
    if find_spec("reportlab") is None:
        raise MissingExtraError("a PDF (without it, give -o FILE.html)", "casework")
    return (target, target.with_suffix(HTML))


def check_outputs(files: Sequence[Path], *, force: bool) -> None:
    """Check that files can be written.

    Raises:
        OutputError: one exists and ``force`` is not set, or their folder cannot be written to.
    """
    check_free(files[0].parent, [file.name for file in files], force=force)


def save(
    examination: Examination,
    files: Sequence[Path],
    *,
    paper: Paper = "a4",
    fonts: Sequence[Path] = (),
    force: bool = False,
) -> tuple[list[Path], frozenset[str]]:
    """Write a report.

    Args:
        examination: to report.
        files: from ``output_files``; all in one folder, which is created if it does not exist.
        paper: size of the pages of the PDF.
        fonts: TrueType files for characters that the built-in font of the PDF lacks.
        force: overwrite existing files.

    Returns:
        The files written, and the characters that the PDF shows as numbers in Unicode.

    Raises:
        OutputError: a file exists and ``force`` is not set, or the folder cannot be written to.
        UsageError: a font cannot be used.
    """
    check_outputs(files, force=force)
    document = compose(examination)
    folder, missing = files[0].parent, frozenset[str]()
    with staging_folder(folder) as staging:
        for file in files:
            if file.suffix.lower() == PDF:
                from fakelens.casework.pdf import write_pdf  # noqa: PLC0415 - an extra

                content, missing = write_pdf(document, paper=paper, fonts=fonts)
                (staging / file.name).write_bytes(content)
            else:
                (staging / file.name).write_text(write_html(document), encoding="utf-8")
        names = [file.name for file in files]
        return move_into_place(staging, folder, names, force=force), missing
