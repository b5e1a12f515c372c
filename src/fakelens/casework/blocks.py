"""The content of a report without its layout; ``pdf`` and ``html`` lay out the same blocks."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from fakelens.report.charts import Curve

NOT_STATED = "not stated"

Paper = Literal["a4", "letter"]
"""Size of pages."""

# Control and format characters, among them those that reverse the direction of a text, surrogates,
# and characters without a meaning of their own: they would hide or reorder what is read.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text.

    Attributes:
        text: of the paragraph.
        voice: ``"note"`` for remarks in small type, ``"examiner"`` for the examiner's own words.
    """

    kind: ClassVar[str] = "paragraph"
    text: str
    voice: Literal["plain", "note", "examiner"] = "plain"


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and values, one pair a row."""

    kind: ClassVar[str] = "fields"
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its heading is repeated on every page.

    Attributes:
        caption: above it.
        head: of the columns.
        rows: as many cells as columns.
        widths: of the columns, relative to each other.
    """

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes:
        jpeg: its file.
        size: width and height, pixels.
        caption: below it.
        width: share of the width of the text, 0..1.
    """

    kind: ClassVar[str] = "picture"
    jpeg: bytes
    size: tuple[int, int]
    caption: str
    width: float


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """The score of a person over time, between 0 (real) and 1 (fake).

    Attributes:
        curve: in a box of 1000 x 100 units, see ``report.charts``.
        ticks: of the time axis: label and position, 0..1000.
        fake: threshold of *likely fake*, 0..1.
        real: threshold of *likely real*, 0..1.
        caption: below it.
    """

    kind: ClassVar[str] = "chart"
    curve: Curve
    ticks: tuple[tuple[str, float], ...]
    fake: float
    real: float
    caption: str


@dataclass(frozen=True, slots=True)
class Beside:
    """A picture and a chart side by side."""

    kind: ClassVar[str] = "beside"
    left: Picture
    right: ScoreChart


@dataclass(frozen=True, slots=True)
class Command:
    """A line for the terminal."""

    kind: ClassVar[str] = "command"
    text: str


@dataclass(frozen=True, slots=True)
class BlankLines:
    """Lines to be filled in by hand, one below each label."""

    kind: ClassVar[str] = "lines"
    labels: tuple[str, ...]


Block = Paragraph | Fields | Bullets | Table | Picture | ScoreChart | Beside | Command | BlankLines


@dataclass(frozen=True, slots=True)
class Section:
    """A section.

    Attributes:
        title: with its number.
        blocks: in order.
        level: 1, or 2 for a part of the section before.
    """

    title: str
    blocks: tuple[Block, ...]
    level: Literal[1, 2] = 1


@dataclass(frozen=True, slots=True)
class Document:
    """A report.

    Attributes:
        title: of the document.
        case_number: of the case.
        report_id: see ``identify``.
        author: the examiner.
        dated: day of issue or, if it is not stated, of the analysis, ISO 8601.
        sections: in order.
    """

    title: str
    case_number: str
    report_id: str
    author: str
    dated: str
    sections: tuple[Section, ...]


def identify(sections: Iterable[Section], issue: int) -> str:
    """Return the identifier of a report: 16 digits of the SHA-256 of its content, and its issue."""
    digest = hashlib.sha256("\n".join(map(repr, sections)).encode("utf-8", "backslashreplace"))
    return f"{digest.hexdigest()[:16]}-{issue}"


def stated(value: object) -> str:
    """Return a value of ``CASE.toml`` as text; *not stated* for one that is missing."""
    return NOT_STATED if value in (None, "") else str(value)


def code_point(character: str) -> str:
    """Return a character that cannot be shown as its number in Unicode, such as ``[U+202E]``."""
    return f"[U+{ord(character):04X}]"


def visible(text: str) -> str:
    """Return a text in which characters that hide or reorder others are shown as numbers.

    Letters with accents are composed where Unicode has a composed letter.
    """
    return "".join(
        code_point(each) if unicodedata.category(each) in _HIDDEN and each not in "\n\t" else each
        for each in unicodedata.normalize("NFC", text)
    )
