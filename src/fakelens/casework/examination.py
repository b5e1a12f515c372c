"""Gathers what the report is written from: the analysis, the case, the input and the pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2

from fakelens.casework.case import Case
from fakelens.casework.content_credentials import Credentials, check_credentials
from fakelens.casework.file_facts import FileFacts, read_still_facts, read_video_facts
from fakelens.casework.human_reviews import read_reviews
from fakelens.errors import MediaError
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.reader import open_video
from fakelens.media.source_file import file_sha256
from fakelens.records.arrays import RGBImage
from fakelens.records.report import Report
from fakelens.render.ranking import rank_by_suspicion
from fakelens.report.document import FILE_NAME, read_report
from fakelens.report.portraits import FACES_FOLDER, face_name, shrink
from fakelens.report.review import Review

MAX_DETAILED = 6
"""Most people with a part of their own; the others have a row of a table."""

_MAX_FACES, _MAX_STILL = 480, 800  # width of pictures, pixels


class ItemState(StrEnum):
    """Whether the file is still the one that was analysed."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read; ``why`` follows a colon in a sentence, without a stop."""

    why: str


@dataclass(frozen=True, slots=True)
class Still:
    """A picture as a JPEG file; ``size`` is its width and height in pixels."""

    jpeg: bytes
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Examination:
    """What the report is written from.

    Attributes:
        case: stated by the examiner.
        report: of the analysis.
        report_sha256: of ``report.json``, hexadecimal.
        state: of the input file now.
        facts: about the input; read only if it is identical.
        credentials: C2PA state of the input; checked only if it is identical.
        first_frame: of the input; read only if it is identical.
        faces: by person with a part of their own, the picture that the analysis wrote: the face,
            and the face with its heatmap.
        reviews: by people, the one saved last at the end.
        reviews_left_out: why other reviews are left out, in sentences.
        detailed: indices of the tracks with a part of their own, by number of the person.
        others: indices of the other tracks.
    """

    case: Case
    report: Report
    report_sha256: str
    state: ItemState
    facts: FileFacts | Unread
    credentials: Credentials | Unread
    first_frame: Still | Unread
    faces: Mapping[int, Still | Unread]
    reviews: tuple[Review, ...]
    reviews_left_out: tuple[str, ...]
    detailed: tuple[int, ...]
    others: tuple[int, ...]


def gather(
    results: Path, case: Case, *, source: Path | None = None, anchors: Path | None = None
) -> Examination:
    """Gather what the report is written from; the results are not changed.

    Args:
        results: folder of a finished analysis, or its ``report.json``.
        case: stated by the examiner.
        source: current path of the input, if it was moved.
        anchors: PEM file of certificates that C2PA signatures may lead to.

    Raises:
        ReportError: the report is missing or damaged.
        UsageError: the trust anchors cannot be read.
    """
    path = results / FILE_NAME if results.is_dir() else results
    report = read_report(path, source=source)
    state, why = _state(report)
    other = Unread(why)
    identical = state is ItemState.IDENTICAL
    detailed = _most_suspicious(report)
    reviews, left_out = read_reviews(path.parent, report.provenance.input_sha256)
    return Examination(
        case=case,
        report=report,
        report_sha256=file_sha256(path),
        state=state,
        facts=_facts(report) if identical else other,
        credentials=check_credentials(report.source, anchors) if identical else other,
        first_frame=_first_frame(report) if identical else other,
        faces=_faces(report, detailed, path.parent / FACES_FOLDER),
        reviews=reviews,
        reviews_left_out=left_out,
        detailed=detailed,
        others=tuple(n for n in range(len(report.tracks)) if n not in detailed),
    )


def _state(report: Report) -> tuple[ItemState, str]:
    """Return the state of the input, and why it is not described unless it is identical."""
    made = report.provenance
    try:
        same = (
            report.source.stat().st_size == made.input_bytes
            and file_sha256(report.source) == made.input_sha256
        )
    except (FileNotFoundError, NotADirectoryError):
        return ItemState.MISSING, "the file was not found"
    except OSError as error:
        why = f"the file is there, but cannot be read: {error.strerror or error}"
        return ItemState.UNREADABLE, why
    if same:
        return ItemState.IDENTICAL, ""
    return ItemState.DIFFERENT, "the file found is not the one that was analysed"


def _facts(report: Report) -> FileFacts | Unread:
    try:
        if report.video.is_picture:
            return read_still_facts(report.source)
        return read_video_facts(report.source, report.video.stream)
    except MediaError as error:
        return Unread(_without_path(error, report.source))


def _first_frame(report: Report) -> Still | Unread:
    try:
        with open_video(report.source, report.video.stream) as reader:
            frame = next(iter(reader.frames()), None)
    except MediaError as error:
        return Unread(_without_path(error, report.source))
    return _still(frame.image, _MAX_STILL) if frame else Unread("no frame can be decoded")


def _without_path(error: MediaError, path: Path) -> str:
    """Return what is wrong with a file; its path on this machine is no part of a report."""
    return str(error).removeprefix(f"{path}: ")


def _most_suspicious(report: Report) -> tuple[int, ...]:
    ranked = rank_by_suspicion(report)
    ranked += [n for n in range(len(report.tracks)) if n not in ranked]
    return tuple(sorted(ranked[:MAX_DETAILED]))


def _faces(report: Report, numbers: tuple[int, ...], folder: Path) -> dict[int, Still | Unread]:
    people = (report.tracks[number].person for number in numbers)
    return {person: _face(folder / face_name(person)) for person in people}


def _face(path: Path) -> Still | Unread:
    name = f"{path.parent.name}/{path.name}"
    try:
        image = decode_image(path.read_bytes())
    except FileNotFoundError:
        return Unread(f"the results contain no file {name}")
    except OSError as error:
        return Unread(f"{name} cannot be read: {error.strerror or error}")
    except (IndexError, cv2.error):  # OpenCV's, for no picture
        return Unread(f"{name} is damaged")
    return _still(image, _MAX_FACES)


def _still(image: RGBImage, width: int) -> Still:
    small = shrink(image, width)
    return Still(encode_jpeg(small, 85), (small.shape[1], small.shape[0]))
