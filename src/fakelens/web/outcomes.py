"""What follows an analysis: the outcome of the job, a thumbnail, and one copy of the upload only.

The outcome can also be read from the report again, if the record of a job was lost.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.source_file import file_sha256
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Thresholds
from fakelens.records.report import Provenance, Report
from fakelens.records.settings import Settings
from fakelens.report import document, portraits, source_video
from fakelens.report.error_rates import error_rate_sentence
from fakelens.report.plain_words import answer, how_sure
from fakelens.web.folders import THUMBNAIL
from fakelens.web.messages import OutcomeMessage, PersonSummary, Task

_THUMBNAIL_SIZE = (224, 112)  # width and height; twice what the page shows, for dense displays


class _Person(BaseModel):
    finding: Finding


class SavedReport(BaseModel):
    """The part of ``report.json`` that a job is made from."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    error_rates: str = ""
    settings: Settings
    thresholds: Thresholds
    provenance: Provenance
    persons: tuple[_Person, ...]

    @property
    def outcome(self) -> OutcomeMessage:
        """The outcome of the job."""
        findings = [person.finding for person in self.persons]
        return make_outcome(
            findings, self.thresholds, self.provenance.input_sha256, self.error_rates
        )


def read_report(results: Path) -> SavedReport | None:
    """Read ``report.json``; ``None`` if it does not exist or is damaged."""
    try:
        return SavedReport.model_validate_json((results / document.FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def make_outcome(
    findings: Sequence[Finding], thresholds: Thresholds, sha256: str, error_rates: str
) -> OutcomeMessage:
    """Return the outcome of a job.

    Args:
        findings: of the report.
        thresholds: of the report.
        sha256: of the video.
        error_rates: how often the model is wrong, in a sentence.
    """
    ranked = sorted(findings, key=_suspicion, reverse=True)
    suspect = next((finding for finding in ranked if finding.score is not None), None)
    return OutcomeMessage(
        video_sha256=sha256,
        faces_found=bool(findings),
        persons=tuple(
            PersonSummary(
                person=finding.person,
                verdict=finding.verdict,
                score=finding.score,
                first=finding.first,
                last=finding.last,
                answer=answer(finding),
                sure=how_sure(finding, thresholds),
            )
            for finding in ranked
        ),
        suspect=suspect.person if suspect else None,
        error_rates=error_rates,
    )


def _suspicion(finding: Finding) -> tuple[bool, bool, float]:
    """Return a sort key: a high score of a person who is not seen well means little."""
    return finding.seen_well, finding.verdict is Verdict.FAKE, finding.score or 0.0


def portrait(results: Path, person: int) -> Path:
    """Return the path of a person's portrait: the face, and the face with its heatmap."""
    return results / portraits.FACES_FOLDER / portraits.face_name(person)


def finish_results(task: Task, report: Report) -> OutcomeMessage:
    """Complete the results that were saved, and return their outcome.

    Args:
        task: of the worker.
        report: that was saved.
    """
    sha256 = report.provenance.input_sha256
    rates = error_rate_sentence(report.model, report.thresholds)
    outcome = make_outcome(report.findings, report.thresholds, sha256, rates)
    with contextlib.suppress(OSError):  # the job is done without it, too
        share_upload(task.input, task.output, sha256)
    if outcome.suspect is not None:
        with contextlib.suppress(OSError):
            write_thumbnail(task.output.parent / THUMBNAIL, task.output, outcome.suspect)
    return outcome


def write_thumbnail(path: Path, results: Path, person: int) -> None:
    """Write a small copy of a person's portrait as JPEG, if there is a portrait.

    Args:
        path: of the thumbnail.
        results: folder with the results.
        person: number of the person.
    """
    if portrait(results, person).exists():
        face = decode_image(portrait(results, person).read_bytes())
        small = np.asarray(cv2.resize(face, _THUMBNAIL_SIZE, interpolation=cv2.INTER_AREA))
        path.write_bytes(encode_jpeg(small.astype(np.uint8, copy=False)))


def share_upload(upload: Path, results: Path, sha256: str) -> None:
    """Replace the results' exact copy of the upload by a hard link, to store the video once.

    A transcoded video stays.

    Args:
        upload: the analysed video.
        results: folder with the results.
        sha256: of the upload.

    Raises:
        OSError: the file system has no links; the copy stays.
    """
    link = results / ".link"
    for copy in (results / name for name in source_video.NAMES):
        if not copy.exists() or copy.stat().st_size != upload.stat().st_size:
            continue
        if file_sha256(copy) == sha256:
            os.link(upload, link)
            link.replace(copy)
