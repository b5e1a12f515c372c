"""The review of a job's video, stored with the results."""

import logging
from pathlib import Path

from pydantic import ValidationError

from fakelens.report.review import Review
from fakelens.web.files import REVIEW
from fakelens.web.store import write_durably

_log = logging.getLogger("fakelens.web")
_CLOSED_FIELDS = ("blind", "opinion", "suspicions", "uncovered")


def read(results: Path) -> Review | None:
    """Return the review in a results folder, or ``None`` if there is none."""
    path = results / REVIEW
    if not path.exists():
        return None
    try:
        return Review.model_validate_json(path.read_bytes())
    except ValidationError:
        _log.exception("%s is damaged and was renamed", path)
        path.replace(path.with_suffix(".damaged"))
        return None


def find_conflict(results: Path, sha256: str | None, review: Review) -> str | None:
    """Return why a review cannot replace the saved one, in a sentence, or ``None`` if it can.

    Args:
        results: folder with the results.
        sha256: of the analysed video.
        review: the new one.
    """
    if review.video_sha256 != sha256:
        return "this review is of another video: its SHA-256 differs"
    saved = read(results)
    if saved is None:
        return None
    if review.saved < saved.saved:
        return "a newer review has been saved: reload the page"
    if saved.uncovered is None:
        return None
    changed = [name for name in _CLOSED_FIELDS if getattr(saved, name) != getattr(review, name)]
    if saved.reviewer and saved.reviewer != review.reviewer:
        changed.append("reviewer")
    if changed:
        return (
            "the result has been revealed, so this part of the review can no longer change "
            f"({', '.join(changed)}); add it to the notes instead"
        )
    return None


def write(results: Path, review: Review) -> None:
    """Save a review; on failure the previous one is kept."""
    write_durably(results / REVIEW, review.model_dump_json())
