"""The first page on paper: what somebody must know who gets only this page."""

from dataclasses import dataclass

from fakelens.records.report import Report
from fakelens.render.ranking import rank_all
from fakelens.report.plain_words import how_sure
from fakelens.report.verdict_strip import SIDES, error_rate_of

MAX_PEOPLE = 6


@dataclass(frozen=True, slots=True)
class Line:
    """The verdict on one person.

    Attributes:
        person: number of the person.
        verdict: in words; *not judged* if the person is not seen well enough.
        side: class of the verdict's colour.
        sure: what weakens the verdict, a sentence.
        error_rate: how often the model was wrong with this verdict, a sentence; empty for people
            who are not judged.
    """

    person: int
    verdict: str
    side: str
    sure: str
    error_rate: str


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The people on the first page.

    Attributes:
        people: the most suspicious ones, at most ``MAX_PEOPLE``, in that order.
        total: number of all people of the report.
    """

    people: list[Line]
    total: int


def make_first_page(report: Report) -> FirstPage:
    """Return what the first page on paper says of the people of a report."""
    ranked = rank_all(report)
    findings = [report.findings[number] for number in ranked[:MAX_PEOPLE]]
    people = [
        Line(
            person=finding.person,
            verdict=finding.verdict.value if finding.seen_well else "not judged",
            side=SIDES[finding.verdict],
            sure=how_sure(finding, report.thresholds),
            error_rate=error_rate_of(report, finding),
        )
        for finding in findings
    ]
    return FirstPage(people, len(ranked))
