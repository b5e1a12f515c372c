"""A person's review of a job's video, kept beside the report."""

import logging
from pathlib import Path

from pydantic import ValidationError

from fakelens.report.review import Review
from fakelens.web.files import REVIEW
from fakelens.web.store import write_durably

_log = logging.getLogger("fakelens.web")
_BLIND_PART = ("blind", "opinion", "suspicions", "uncovered")


def read(results: Path) -> Review | None:
    """The review in a folder of results, if there is one."""
    path = results / REVIEW
    if not path.exists():
        return None
    try:
        return Review.model_validate_json(path.read_bytes())
    except ValidationError:
        _log.exception("%s is damaged; it is set aside", path)
        path.replace(path.with_suffix(".damaged"))
        return None


def objection(results: Path, sha256: str | None, review: Review) -> str | None:
    """Why a review cannot take the place of the one that is there, in a sentence.

    Args:
        results: the folder.
        sha256: of the video that the results are of.
        review: that somebody wants to keep.
    """
    if review.video_sha256 != sha256:
        return "this review is of another video: its SHA-256 differs"
    before = read(results)
    if before is None:
        return None
    if review.saved < before.saved:
        return "a newer review is kept already: reload the page"
    if before.uncovered is None:
        return None
    changed = [name for name in _BLIND_PART if getattr(before, name) != getattr(review, name)]
    if before.reviewer and before.reviewer != review.reviewer:
        changed.append("reviewer")
    if changed:
        return (
            "the machine's answer has been uncovered, so what was said before cannot change any "
            f"more ({', '.join(changed)}); write it into the notes"
        )
    return None


def write(results: Path, review: Review) -> None:
    """Keep a review, whole or not at all."""
    write_durably(results / REVIEW, review.model_dump_json())
