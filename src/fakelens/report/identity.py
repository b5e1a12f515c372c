"""What a saved report is about: its input, model and settings, read without its persons."""

from pathlib import Path

from pydantic import ValidationError

from fakelens.errors import UsageError
from fakelens.records.settings import Settings
from fakelens.report.document import unreadable
from fakelens.report.track_columns import Count, Part

# How ``write_document`` begins and ends the list of persons. Neither can occur inside a JSON
# string, where quotation marks are escaped, nor elsewhere in the document.
_BEGIN, _END = b'"persons":[', b'],"heatmaps":{'
_CHUNK = 1 << 16  # bytes; what follows the persons is shorter


class _Input(Part):
    is_picture: bool


class _Card(Part):
    name: str


class _Heatmaps(Part):
    method: str
    rows: Count


class _Origin(Part):
    input_name: str
    input_sha256: str
    input_bytes: int
    model_sha256: str
    detector: str


class _Opinion(Part):
    model: _Card
    model_sha256: str
    cam: str
    folder: str


class Identity(Part):
    """The part of ``report.json`` that tells whether an analysis has to be repeated.

    The fields without a default are in every version of the document.
    """

    schema_version: int
    input_path: str
    video: _Input
    model: _Card
    settings: Settings
    second_opinions: tuple[_Opinion, ...] = ()
    heatmaps: _Heatmaps
    provenance: _Origin


def read_identity(path: Path) -> Identity:
    """Read what a report is about, from the beginning and the end of ``report.json``.

    Raises:
        ReportError: it is missing or damaged.
    """
    try:
        return Identity.model_validate_json(_without_persons(path))
    except (OSError, ValidationError, UsageError) as error:
        raise unreadable(path, error) from error


def _without_persons(path: Path) -> bytes:
    """Return the document without the observations, which may take hundreds of megabytes.

    A document that another program has formatted is returned whole.
    """
    with path.open("rb") as file:
        before = b""
        while _BEGIN not in before and (chunk := file.read(_CHUNK)):
            before += chunk
        begin = before.find(_BEGIN) + len(_BEGIN)
        file.seek(max(begin, file.seek(0, 2) - _CHUNK))
        after = file.read()
    end = after.rfind(_END)
    if _BEGIN not in before or end < 0:
        return path.read_bytes()
    return before[:begin] + after[end:]
