"""The reviews of a job's video, stored with the results: one file for each reviewer.

The server counts the revisions of a review and stamps its times: the clocks of browsers differ.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from fakelens.report.review import Review
from fakelens.web.files import REVIEW
from fakelens.web.folders import write_durably
from fakelens.web.schemas import ReviewNote

MAX_REVIEWS = 100  # of a result

_log = logging.getLogger("fakelens.web")
_FOLDER = "reviews"
_NAME = re.compile(r"[0-9a-f]{32}\.json")
_CLOSED_FIELDS = ("blind", "opinion", "suspicions")


def read_all(results: Path) -> tuple[Review, ...]:
    """Return the reviews in a results folder, the one saved last at the end.

    Raises:
        OSError: there is one, but it cannot be read.
    """
    try:
        named = [path for path in (results / _FOLDER).iterdir() if _NAME.fullmatch(path.name)]
    except FileNotFoundError:
        named = []
    found = (_read(path) for path in (results / REVIEW, *sorted(named)))
    return tuple(sorted(filter(None, found), key=lambda review: review.saved))


def find(found: Iterable[Review], identifier: str | None) -> Review | None:
    """Return the review with an id, or without one, if there is one."""
    return next((review for review in found if review.id == identifier), None)


def _read(path: Path) -> Review | None:
    try:
        review = Review.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        _log.exception("%s is damaged and was renamed", path)
        path.replace(path.with_suffix(".damaged"))
        return None
    identifier = None if path.name == REVIEW else path.stem
    return review.model_copy(update={"id": identifier, "revision": _revision(review)})


def read_notes(results: Path) -> tuple[ReviewNote, ...]:
    """Return what the list of jobs shows of the reviews; nothing if they cannot be read."""
    try:
        found = read_all(results)
    except OSError:
        return ()  # the list goes on; the page of this result reports the error
    return tuple(
        ReviewNote(
            reviewer=review.reviewer,
            opinion=review.opinion,
            blind=review.blind,
            revealed=review.uncovered is not None,
            saved=review.saved,
        )
        for review in found
    )


def find_conflict(found: Sequence[Review], sha256: str | None, review: Review) -> str | None:
    """Return why a review cannot be saved, in a sentence, or ``None`` if it can.

    Args:
        found: saved reviews of this video; the new one replaces the one of the same id.
        sha256: of the analysed video.
        review: the new one.
    """
    if review.video_sha256 != sha256:
        return "this review is of another video: its SHA-256 differs"
    saved = find(found, review.id)
    if saved:
        return _find_forbidden_change(saved, review)
    if len(found) >= MAX_REVIEWS:
        return f"this result already has {MAX_REVIEWS} reviews: keep yours as JSON"
    return None


def _find_forbidden_change(saved: Review, review: Review) -> str | None:
    # The pages of earlier versions send no revision and cannot learn it, so that all their further
    # saves would be refused. The times that they send are no substitute: their clocks may be wrong.
    if review.revision is not None and review.revision != _revision(saved):
        return (
            "a newer review has been saved: keep yours with 'Save review as JSON', then reload the "
            "page"
        )
    if review.blind and not saved.blind:
        return "this review was saved as not blind, so it cannot become blind"
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
    path = results / REVIEW
    if review.id is not None:
        path = results / _FOLDER / f"{review.id}.json"
        path.parent.mkdir(exist_ok=True)
    write_durably(path, stamped.model_dump_json())
    return stamped


def _revision(saved: Review | None) -> int:
    """Return the revision of a saved review: 0 if there is none or an earlier version saved it."""
    return (saved and saved.revision) or 0
