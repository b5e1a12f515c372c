"""The review of a job's video, stored with the results.

The server counts the revisions of a review and stamps its times: the clocks of browsers differ.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from fakelens.report.review import Review
from fakelens.web.files import REVIEW
from fakelens.web.folders import write_durably
from fakelens.web.schemas import ReviewNote

_log = logging.getLogger("fakelens.web")
_CLOSED_FIELDS = ("blind", "opinion", "suspicions")


def read(results: Path) -> Review | None:
    """Return the review in a results folder, or ``None`` if there is none.

    Raises:
        OSError: there is one, but it cannot be read.
    """
    path = results / REVIEW
    try:
        review = Review.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        _log.exception("%s is damaged and was renamed", path)
        path.replace(path.with_suffix(".damaged"))
        return None
    return review.model_copy(update={"revision": _revision(review)})


def read_note(results: Path) -> ReviewNote | None:
    """Return what the list of jobs shows of the review; ``None`` if it cannot be read."""
    try:
        review = read(results)
    except OSError:
        return None  # the list goes on; the page of this result reports the error
    if review is None:
        return None
    return ReviewNote(
        reviewer=review.reviewer,
        opinion=review.opinion,
        blind=review.blind,
        revealed=review.uncovered is not None,
        saved=review.saved,
    )


def find_conflict(saved: Review | None, sha256: str | None, review: Review) -> str | None:
    """Return why a review cannot replace the saved one, in a sentence, or ``None`` if it can.

    Args:
        saved: review, if there is one.
        sha256: of the analysed video.
        review: the new one.
    """
    if review.video_sha256 != sha256:
        return "this review is of another video: its SHA-256 differs"
    if saved is None:
        return None
    # The pages of earlier versions send no revision and cannot learn it, so that all their further
    # saves would be refused. The times that they send are no substitute: their clocks may be wrong.
    if review.revision is not None and review.revision != _revision(saved):
        return (
            "a newer review has been saved: keep yours with 'Save review as JSON', then reload the "
            "page"
        )
    if saved.uncovered is None:
        return None
    changed = [name for name in _CLOSED_FIELDS if getattr(saved, name) != getattr(review, name)]
    if review.uncovered is None:
        changed.append("uncovered")
    if saved.reviewer and saved.reviewer != review.reviewer:
        changed.append("reviewer")
    if changed:
        return (
            "the result has been revealed, so this part of the review can no longer change "
            f"({', '.join(changed)}); add it to the notes instead"
        )
    return None


def write(results: Path, saved: Review | None, review: Review) -> Review:
    """Save a review with its revision and times; on failure the previous one is kept.

    Args:
        results: folder with the results.
        saved: review that is replaced, if there is one.
        review: the new one.

    Returns:
        The review as saved.
    """
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    uncovered = (saved and saved.uncovered) or time
    stamped = review.model_copy(
        update={
            "revision": _revision(saved) + 1,
            "uncovered": review.uncovered and uncovered,
            "saved": time,
        }
    )
    write_durably(results / REVIEW, stamped.model_dump_json())
    return stamped


def _revision(saved: Review | None) -> int:
    """Return the revision of a saved review: 0 if there is none or an earlier version saved it."""
    return (saved and saved.revision) or 0
