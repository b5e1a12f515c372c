"""Gathers what the report is written from: the analysis, the case, the input and the pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2

from fakelens.casework.case import Case
from fakelens.casework.content_credentials import Credentials, check_credentials
from fakelens.casework.file_facts import FileFacts, read_still_facts, read_video_facts
from fakelens.errors import MediaError
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.reader import open_video
from fakelens.media.source_file import file_sha256
from fakelens.records.arrays import RGBImage
from fakelens.records.report import Report
from fakelens.report.document import FILE_NAME, read_report
from fakelens.report.portraits import FACES_FOLDER, face_name, rank_by_suspicion, shrink

MAX_DETAILED = 6
"""Most people with a part of their own; the others have a row of a table."""

_MAX_FACES, _MAX_STILL = 480, 800  # width of pictures, pixels


class ItemState(StrEnum):
    """Whether the file is still the one that was analysed."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    MISSING = "missing"


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
        facts: about the input; ``None`` unless it is identical, or if it cannot be read.
        credentials: C2PA state of the input; ``None`` unless it is identical.
        first_frame: of the input; ``None`` unless it is identical, or if it cannot be decoded.
        faces: by person, the picture that the analysis wrote: the face, and the face with its
            heatmap.
        detailed: indices of the tracks with a part of their own, by number of the person.
        others: indices of the other tracks.
    """

    case: Case
    report: Report
    report_sha256: str
    state: ItemState
    facts: FileFacts | None
    credentials: Credentials | None
    first_frame: Still | None
    faces: Mapping[int, Still]
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
    state = _state(report)
    identical = state is ItemState.IDENTICAL
    detailed = _most_suspicious(report)
    return Examination(
        case=case,
        report=report,
        report_sha256=file_sha256(path),
        state=state,
        facts=_facts(report) if identical else None,
        credentials=check_credentials(report.source, anchors) if identical else None,
        first_frame=_first_frame(report) if identical else None,
        faces=_faces(report, detailed, path.parent / FACES_FOLDER),
        detailed=detailed,
        others=tuple(n for n in range(len(report.tracks)) if n not in detailed),
    )


def _state(report: Report) -> ItemState:
    made = report.provenance
    try:
        if report.source.stat().st_size != made.input_bytes:
            return ItemState.DIFFERENT
        same = file_sha256(report.source) == made.input_sha256
    except OSError:
        return ItemState.MISSING
    return ItemState.IDENTICAL if same else ItemState.DIFFERENT


def _facts(report: Report) -> FileFacts | None:
    try:
        if report.video.is_picture:
            return read_still_facts(report.source)
        return read_video_facts(report.source, report.video.stream)
    except MediaError:  # changed or lost in this moment
        return None


def _first_frame(report: Report) -> Still | None:
    try:
        with open_video(report.source, report.video.stream) as reader:
            frame = next(iter(reader.frames()), None)
    except MediaError:
        return None
    return _still(frame.image, _MAX_STILL) if frame else None


def _most_suspicious(report: Report) -> tuple[int, ...]:
    ranked = rank_by_suspicion(report)
    ranked += [n for n in range(len(report.tracks)) if n not in ranked]
    return tuple(sorted(ranked[:MAX_DETAILED]))


def _faces(report: Report, numbers: tuple[int, ...], folder: Path) -> dict[int, Still]:
    found = {}
    for number in numbers:
        person = report.tracks[number].person
        try:
            image = decode_image((folder / face_name(person)).read_bytes())
        except (OSError, IndexError, cv2.error):  # not written, or damaged
            continue
        found[person] = _still(image, _MAX_FACES)
    return found


def _still(image: RGBImage, width: int) -> Still:
    small = shrink(image, width)
    return Still(encode_jpeg(small, 85), (small.shape[1], small.shape[0]))
