"""The examiner's report as a document without layout: its sections, in order."""

from dataclasses import replace

from fakelens.casework import item_sections, method_sections, person_sections
from fakelens.casework.blocks import (
    BlankLines,
    Block,
    Bullets,
    Document,
    Fields,
    Paragraph,
    Section,
    identify,
    stated,
)
from fakelens.casework.case import Case
from fakelens.casework.examination import Examination
from fakelens.casework.human_reviews import opinions_of_people
from fakelens.records.report import Report

_GLOSSARY = (
    ("Score", "output of the model for a face or person, from 0 (real) to 1 (fake)"),
    ("Verdict", "the software's comparison of a score with its thresholds; no finding of fact"),
    ("95 % interval", "range in which the score of a person lies, as far as few frames allow"),
    ("Likelihood ratio", "how much more frequent such a face is among forged than genuine faces"),
    ("Heatmap", "picture of what moved the model's score"),
    ("SHA-256", "number of 64 digits that changes if any bit of a file changes"),
    ("C2PA", "signed statements on the origin of a file that are stored inside it"),
)
_SOURCES = (
    "ISO 21043-4:2025, Forensic sciences - Part 4: Interpretation: propositions, opinions, models",
    "ISO 21043-5:2025, Forensic sciences - Part 5: Reporting: contents, integrity, opinions, "
    "review",
    "SWGDE 23-V-001-1.2, Best Practices for Digital Video Authentication: structure, metadata, "
    "limits",
    "ENFSI Guideline for Evaluative Reporting in Forensic Science (2015): propositions, verbal "
    "scale",
    "ENFSI-BPM-DI-03, Best Practice Manual for Digital Image Authentication (2021): validation, "
    "presentation of results",
)


def compose(examination: Examination) -> Document:
    """Compose the report; the same examination gives the same document."""
    case, report = examination.case, examination.report
    sections = _sections(examination)
    report_id = identify(sections, case.case.issue)
    first = replace(sections[0], blocks=_case(case, report, report_id))
    return Document(
        title=f"Examiner's report: {report.provenance.input_name}",
        case_number=stated(case.case.number),
        report_id=report_id,
        author=stated(case.case.examiner),
        dated=str(case.case.issued or report.provenance.created),
        sections=(first, *sections[1:]),
    )


def _sections(examination: Examination) -> list[Section]:
    case, report = examination.case, examination.report
    titled: list[tuple[str, tuple[Block, ...]]] = [
        ("Case and report", _case(case, report, "")),
        ("Summary of the software's output", item_sections.summary(examination)),
        ("Question and propositions", item_sections.question(case)),
        ("Item", item_sections.item(examination)),
        ("Structure and metadata of the file", item_sections.structure(examination)),
        ("Method", method_sections.method(report)),
        ("Coverage", method_sections.coverage(report)),
        ("Results", ()),
        ("Heatmaps", method_sections.heatmaps(report)),
        ("Second opinions of other models", method_sections.opinions(report)),
        (
            "Opinions of reviewers",
            opinions_of_people(examination.reviews, examination.reviews_left_out),
        ),
        ("Validation", method_sections.validation(report)),
        ("Other causes considered", method_sections.other_causes(examination)),
        ("Limits and deviations", item_sections.limits(examination)),
        ("Conclusion of the examiner", item_sections.conclusion(case)),
        ("How to reproduce the analysis", method_sections.repetition(examination)),
        ("Review and signatures", _signatures(case)),
        ("Glossary and sources", (Fields(_GLOSSARY), *_sources())),
    ]
    wanted = [(title, blocks) for title, blocks in titled if blocks or title == "Results"]
    sections: list[Section] = []
    for number, (title, blocks) in enumerate(wanted, 1):
        if title == "Results":
            sections += person_sections.results(examination, number)
        else:
            sections.append(Section(f"{number} {title}", blocks))
    return sections


def _case(case: Case, report: Report, report_id: str) -> tuple[Block, ...]:
    return (
        item_sections.case_fields(case, report, report_id),
        *item_sections.days_out_of_order(case, report),
    )


def _signatures(case: Case) -> tuple[Block, ...]:
    review = case.review
    return (
        Fields(
            (
                ("Reviewer", stated(", ".join(filter(None, (review.reviewer, review.role))))),
                ("Reviewed", stated(review.reviewed)),
                ("Remarks", stated(review.remarks)),
            )
        ),
        BlankLines(
            (
                f"Examiner ({stated(case.case.examiner)}): signature, place and date",
                f"Reviewer ({stated(review.reviewer)}): signature, place and date",
            )
        ),
        Paragraph("This document has no digital signature; the software makes none.", "note"),
    )


def _sources() -> tuple[Block, ...]:
    return (
        Paragraph(
            "The fields of this report follow these documents. No body has certified this layout."
        ),
        Bullets(_SOURCES),
    )
