"""The reviews that people saved beside the results of an analysis."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from fakelens.casework.blocks import Block, Bullets, Fields, Paragraph
from fakelens.records.times import format_time
from fakelens.report.review import Review, Suspicion

_FILE, _FOLDER = "review.json", "reviews"
_MAX_MARKS = 20
_INTRO = (
    "Statements by people who looked at the item in the software's report page. They are not "
    "output of the software. A blind review was made before the page showed the result, as far as "
    "the page can know. Times are those of the server or computer that saved the review."
)


def read_reviews(folder: Path, sha256: str) -> tuple[tuple[Review, ...], tuple[str, ...]]:
    """Read the reviews in a folder of results: ``review.json`` and ``reviews/*.json``.

    Args:
        folder: of the results.
        sha256: of the input, hexadecimal; reviews of another one are left out.

    Returns:
        The reviews, the one saved last at the end, and why others are left out, in sentences.
    """
    found: list[Review] = []
    problems: list[str] = []
    for path in (folder / _FILE, *sorted((folder / _FOLDER).glob("*.json"))):
        name = path.relative_to(folder).as_posix()
        try:
            review = Review.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror or error}.")
        except ValidationError:
            problems.append(f"{name} is damaged.")
        else:
            if review.video_sha256 == sha256:
                found.append(review)
            else:
                problems.append(f"{name} is a review of another file: its SHA-256 differs.")
    return tuple(sorted(found, key=lambda review: review.saved)), tuple(problems)


def opinions_of_people(reviews: Sequence[Review], problems: Sequence[str]) -> tuple[Block, ...]:
    """Return what reviewers state, and which reviews are left out; empty without any."""
    if not reviews and not problems:
        return ()
    left_out: tuple[Block, ...] = ()
    if problems:
        left_out = (Paragraph("Reviews that are left out:"), Bullets(tuple(problems)))
    return (Paragraph(_INTRO), *map(_fields, reviews), *left_out)


def _fields(review: Review) -> Fields:
    revealed = (
        f"the result was revealed to the reviewer on {_moment(review.uncovered)}; since then only "
        "the notes could change"
        if review.uncovered
        else "the result had not been revealed when it was saved"
    )
    how = f"blind: {revealed}" if review.blind else "not blind: the result was in view"
    return Fields(
        (
            ("Reviewer", review.reviewer or "not stated"),
            ("How", how),
            ("Opinion", review.opinion or "none stated"),
            ("Marks", _marks(review.suspicions)),
            ("Notes", review.notes or "none"),
            ("Saved", _moment(review.saved)),
        )
    )


def _marks(suspicions: Sequence[Suspicion]) -> str:
    shown = "\n".join(_describe(suspicions[:_MAX_MARKS])) or "none"
    more = len(suspicions) - _MAX_MARKS
    return f"{shown}\nand {more} more" if more > 0 else shown


def _describe(suspicions: Iterable[Suspicion]) -> Iterable[str]:
    for mark in suspicions:
        where = "whole picture" if mark.person is None else f"person {mark.person}"
        when = f"{format_time(mark.start)} to {format_time(mark.end)}"
        yield f"{where}, {when}{f': {mark.note}' if mark.note else ''}"


def _moment(text: str) -> str:
    return text.replace("T", " ").replace("Z", " UTC")
