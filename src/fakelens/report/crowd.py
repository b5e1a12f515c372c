"""The table of the people of a report, if there are too many to show all cards at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fakelens.media.images import decode_image
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.report import portraits
from fakelens.report.plain_words import answer, how_sure
from fakelens.report.same_person import possibly_same
from fakelens.report.verdict_strip import SIDES

MAX_IN_FULL = 6
"""Most people whose cards and charts are open; with more, there is a table, and cards on demand."""

_SIDE = 96  # of a thumbnail, pixels; twice its size on the page


@dataclass(frozen=True, slots=True)
class Row:
    """A person in the table.

    Attributes:
        finding: on the person.
        verdict: in words; *not judged* if the person is not seen well enough.
        side: class of the verdict's colour.
        sure: what weakens the verdict, a few words.
        same: numbers of the others who may be the same person.
        face: data URL; ``None`` without a picture.
        is_printed: whether the card is also printed.
    """

    finding: Finding
    verdict: str
    side: str
    sure: str
    same: tuple[int, ...]
    face: str | None
    is_printed: bool


def make_rows(
    report: Report, numbers: Sequence[int], faces: Mapping[int, Mapping[int, bytes]]
) -> list[Row]:
    """Return the rows of the table.

    Args:
        report: to show.
        numbers: track indices of the people with a score, the most suspicious first.
        faces: face crops, as in ``portraits.Portraits``; people without a card get no picture.
    """
    same = possibly_same(report.findings)
    fake = [n for n in numbers if report.findings[n].verdict is Verdict.FAKE]
    printed = set(fake[:MAX_IN_FULL])
    rows = []
    carded = set(numbers[: portraits.MAX_CARDS])
    for number in numbers:
        finding = report.findings[number]
        crop = faces.get(number, {}).get(finding.key_frame) if number in carded else None
        rows.append(
            Row(
                finding=finding,
                verdict=answer(finding),
                side=SIDES[finding.verdict],
                sure=how_sure(finding, report.thresholds).removesuffix("."),
                same=same[finding.person],
                face=portraits.data_url(decode_image(crop), _SIDE) if crop else None,
                is_printed=number in printed,
            )
        )
    return rows
